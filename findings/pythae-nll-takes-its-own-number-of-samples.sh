#!/usr/bin/env bash
# pythae 0.1.2 with torch 2.14.1: get_nll(data, n_samples, batch_size) takes batch_size importance samples, which is
# 100, for each n_samples up to it, and above it the largest multiple of it: 1 gives 100, 150 gives 100, 250 gives 200.
# Its documentation calls n_samples the number of importance samples to use.
#
# So its estimates with n_samples 1 and 50 are one bound, that of 100 samples, and are no match for those of another
# library with 1 and 50. (The value is the mean log-likelihood and not its negative, too.)
#
# Seen in November 2026: 100, 100, 100, 100, 200 samples a datum for n_samples 1, 5, 100, 150, 250; values near -15.6
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 pythae==0.1.2
"$work/venv/bin/python" - <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
import torch
from pythae.models import VAE, VAEConfig

torch.manual_seed(0)
vae = VAE(VAEConfig(input_dim=(1, 4, 4), latent_dim=2)).eval()
data = torch.rand(3, 1, 4, 4)
decoded = []
vae.decoder.register_forward_hook(lambda module, given, result: decoded.append(len(given[0])))
found = {}
for n in (1, 5, 100, 150, 250):
    decoded.clear()
    value = vae.get_nll(data, n_samples=n)
    found[n] = sum(decoded) // len(data)
    print(f"n_samples {n}: {found[n]} samples a datum, value {value:.2f}")
    assert value < 0
assert found == {1: 100, 5: 100, 100: 100, 150: 100, 250: 200}, found
PYTHON
