#!/usr/bin/env bash
# pyro-ppl 1.9.2 with torch 2.14.1: the pathwise gradient of MixtureOfDiagNormals by its component_logits depends on
# where the mixture lies. Two components one unit apart give 0.231 at the origin (exact: 0.235), and 0.001 when both
# are moved five units sideways, where the exact one is the same. Means and scales get right gradients,
# so that a guide trains while its mixture weights stay where they began.
#
# A draw is compared with each pair of components along the line through their means; across that line its distance is
# taken from the origin and not from the line. MixtureOfDiagNormalsSharedCovariance does the same.
#
# Seen in November 2026, d E[z1] / d logit at offsets 0 to 5: 0.231, 0.209, 0.141, 0.055, 0.010, 0.001; exact 0.235
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 pyro-ppl==1.9.2
"$work/venv/bin/python" - <<'PYTHON'
import torch
from pyro.distributions import MixtureOfDiagNormals, MixtureOfDiagNormalsSharedCovariance

torch.set_default_dtype(torch.float64)


def gradients(kind, scale, offset):
    """of E[z1] by the second logit and by the means, and of E[z1^2] by the scales, for means at (0 or 1, offset)"""
    torch.manual_seed(0)
    logits, scale = torch.tensor([0.3, 0.8], requires_grad=True), scale.clone().requires_grad_()
    means = torch.tensor([[0.0, offset], [1.0, offset]], requires_grad=True)
    z = kind(means, scale, logits).rsample((400_000,))[:, 0]
    by_logit, by_mean = torch.autograd.grad(z.mean(), (logits, means), retain_graph=True)
    return by_logit[1].item(), by_mean[1, 0].item(), torch.autograd.grad((z**2).mean(), scale)[0][..., 0].sum().item()


share = torch.tensor([0.3, 0.8]).softmax(0)
exact = share.prod().item()  # E[z1] is the second share, and d share / d logit = share (1 - share)
scales = torch.tensor([1.0, 0.5])
for kind, scale in ((MixtureOfDiagNormals, scales.expand(2, 2)), (MixtureOfDiagNormalsSharedCovariance, scales)):
    found = [gradients(kind, scale, offset) for offset in range(6)]
    print(f"{kind.__name__}: d E[z1] / d logit at offsets 0 to 5:", *(f"{by_logit:.3f}" for by_logit, *_ in found))
    assert abs(found[0][0] - exact) < 0.02 and all(abs(by_logit) < 0.1 for by_logit, *_ in found[3:])
    assert abs(found[5][0]) < 0.01
    assert all(abs(by_mean - share[1]) < 0.02 for _, by_mean, _ in found)
    assert all(abs(by_scale - 2) < 0.05 for *_, by_scale in found)  # E[z1^2] = share + scale^2
print(f"exact at each offset {exact:.3f}; the gradients by means and scales are right")
PYTHON
