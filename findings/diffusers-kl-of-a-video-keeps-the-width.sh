#!/usr/bin/env bash
# diffusers 0.42.1 with torch 2.14.1: the posterior of its VAEs of video (here AutoencoderKLWan) adds up the KL over the
# dimensions 1, 2 and 3 of (batch, channels, frames, height, width). One number is left for each datum and each column
# of the latents, so that kl().mean(), the KL of a datum for pictures, is as many times too small as the latents are
# wide. nll() does the same.
#
# It is the class that the VAEs of pictures use, where the three dimensions are all but the batch. Nothing is raised,
# and the factor changes with the width of the data: 3 for clips of 24 columns, 32 for clips of 256.
#
# Seen in November 2026: kl() of 2 clips of 24 columns has shape (2, 3), its mean is a third of the KL of a clip
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 diffusers==0.42.1
"$work/venv/bin/python" - <<'PYTHON'
import torch
from diffusers import AutoencoderKL, AutoencoderKLWan

torch.manual_seed(0)
video = AutoencoderKLWan(
    base_dim=8, z_dim=4, dim_mult=[1, 2, 2, 2], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
)
picture = AutoencoderKL(latent_channels=4, norm_num_groups=8, block_out_channels=(8,))
data = {"picture": (picture, torch.rand(2, 3, 16, 24)), "video": (video, torch.rand(2, 3, 5, 16, 24))}
found = {}
for name, (vae, x) in data.items():
    with torch.no_grad():
        posterior = vae.encode(x).latent_dist
    normal = torch.distributions.Normal(posterior.mean, posterior.std)
    right = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).flatten(1).sum(1).mean()
    kl, nll = posterior.kl(), posterior.nll(posterior.mean)
    found[name] = (kl.mean() / right).item()
    print(f"{name}: latents {tuple(posterior.mean.shape)}, kl() {tuple(kl.shape)}, nll() {tuple(nll.shape)},", end=" ")
    print(f"kl().mean() {kl.mean():.3f}, KL of a datum {right:.3f}")
assert abs(found["picture"] - 1) < 1e-4
assert abs(found["video"] - 1 / 3) < 1e-4
PYTHON
