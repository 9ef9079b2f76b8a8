#!/usr/bin/env bash
# torch 2.14.1: of 10,000 draws of Beta(6.6, 0.03), 36 % are one and the same number in float64 and 66 % in float32.
#
# Draws nearer to 1 than 1 - eps / 2 are given as it, and log_prob scores it as any other number: finite, as a density of
# draws that do not repeat. An importance estimate with such a proposal gives much of its mass the density of one point:
# in float32 the mean of p / q for p = Beta(6.6, 0.1) is 1.56, and should be 1. (numpy 2.4.6 gives 1.0 itself there.)
#
# Seen in November 2026: shares 0.36 and 0.66, all log_prob finite, mean weight in float32 1.56
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import torch

found = {}
for dtype in (torch.float64, torch.float32):
    torch.manual_seed(0)
    q = torch.distributions.Beta(torch.tensor(6.6, dtype=dtype), torch.tensor(0.03, dtype=dtype))
    draws = q.sample((10_000,))
    value, count = draws.unique(return_counts=True)
    border = 1 - torch.finfo(dtype).eps / 2
    assert value[count.argmax()] == border, value[count.argmax()]
    found[dtype] = count.max().item() / len(draws)
    assert q.log_prob(draws).isfinite().all()
p = torch.distributions.Beta(torch.tensor(6.6), torch.tensor(0.1))
weight = (p.log_prob(draws) - q.log_prob(draws)).exp().mean().item()
print({str(dtype): round(share, 2) for dtype, share in found.items()}, "mean weight", round(weight, 2))
assert found[torch.float64] > 0.3 and found[torch.float32] > 0.6 and weight > 1.3
PYTHON
