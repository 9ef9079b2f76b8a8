"""Invertible maps at a given h, and Gaussians that draw under `torch.func.vmap`: what guide families are made of."""
