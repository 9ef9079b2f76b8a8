"""What the latent variables carry: rates, information, aggregate posterior, diagnosis."""
