#!/usr/bin/env bash
# diffusers 0.42.1 with torch 2.14.1: the posterior of AutoencoderOobleck, its VAE of sound, has a kl(other) that adds
# the logarithm of the ratio of the variances where it is to be taken away. A posterior narrower than the other gets a
# KL below zero, the narrower the lower: as a loss it draws the variance to zero.
#
# kl() without another posterior, which is the KL from N(0, 1), has the right sign (and is twice the KL), so that kl()
# and kl(N(0, 1)) differ by more than nine nats a dimension here. AutoencoderKL's posterior has both right.
#
# Seen in November 2026, scale 0.1 against scale 1: kl(other) -5.60, kl() 3.62, KL 1.81
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 diffusers==0.42.1
"$work/venv/bin/python" - <<'PYTHON'
import math

import torch
from diffusers.models.autoencoders.autoencoder_oobleck import OobleckDiagonalGaussianDistribution as Posterior


def posterior(std):
    """of one channel and one step, mean 0; the class says std = softplus(raw) + 1e-4"""
    raw = torch.tensor(std - 1e-4, dtype=torch.float64).expm1().log()
    return Posterior(torch.stack([torch.zeros_like(raw), raw]).reshape(1, 2, 1))


narrow, wide = posterior(0.1), posterior(1.0)
normals = [torch.distributions.Normal(each.mean, each.std) for each in (narrow, wide)]
right = torch.distributions.kl_divergence(*normals).item()
other, alone, same = narrow.kl(wide).item(), narrow.kl().item(), narrow.kl(narrow).item()
print(f"scale 0.1 against scale 1: kl(other) {other:.2f}, kl() {alone:.2f}, KL {right:.2f}; against itself {same:.2f}")
assert abs(right - (0.5 * (0.01 - 1) + math.log(10))) < 1e-6
assert other < -5 and alone > 3 and abs(same) < 1e-9
PYTHON
