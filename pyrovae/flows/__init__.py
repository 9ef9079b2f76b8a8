"""Invertible maps at a given h, and Gaussians that draw under `torch.func.vmap`: guide families are made of them."""
