#!/usr/bin/env bash
# pyro-ppl 1.9.2 with torch 2.14.1: ProjectedNormal.log_prob has a floor, in double precision, too. For the direction
# opposite to its mean it gives -36.96 (-16.86 in float32) in the place of -5011.05, at a concentration of length 100,
# and before that the density rises with the distance from the mean, so that a gradient leads further away.
#
# The integral along the ray, (exp(-t^2/2) sqrt(2/pi) + t erfc(-t/sqrt(2))) / 2, cancels for negative t and is clamped at
# eps before its logarithm is taken. A datum that lies opposite to what a model says is scored as merely unlikely.
#
# Seen in November 2026: -36.96 (float64), -16.86 (float32), -5011.05 by quadrature; the gradient has the wrong sign
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 pyro-ppl==1.9.2
"$work/venv/bin/python" - <<'PYTHON'
import math

import torch
from pyro.distributions import ProjectedNormal

mean, opposite = torch.tensor([100.0, 0.0]), torch.tensor([-1.0, 0.0])
found = [ProjectedNormal(mean.to(kind)).log_prob(opposite.to(kind)).item() for kind in (torch.float64, torch.float32)]

# p(direction) = integral over r > 0 of r N(r * direction; mean, I)
r = torch.linspace(0, 1, 1_000_001, dtype=torch.float64)[1:]
density = r.log() - ((-r - 100) ** 2) / 2 - math.log(2 * math.pi)
exact = (density.logsumexp(0) + math.log(1e-6)).item()

angle = torch.tensor(math.pi - 0.5, dtype=torch.float64, requires_grad=True)
direction = torch.stack([angle.cos(), angle.sin()])
ProjectedNormal(mean.double()).log_prob(direction).backward()
print(f"log p by pyro {found[0]:.2f} (float64), {found[1]:.2f} (float32), by quadrature {exact:.2f}")
print(f"its gradient by the angle to the mean, at pi - 0.5: {angle.grad:.0f} (right: below 0)")
assert exact < -5000 and -40 < found[0] < -30 and -20 < found[1] < -10
assert angle.grad > 0
PYTHON
