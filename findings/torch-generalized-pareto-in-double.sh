#!/usr/bin/env bash
# torch 2.14.1: GeneralizedPareto does not run in double precision. log_prob and cdf compare its concentration with a
# tensor of the default dtype, and torch.isclose takes no two dtypes. In single precision the same call is right.
#
# Seen in November 2026: RuntimeError: Double did not match Float, from log_prob and cdf
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1
"$work/venv/bin/python" - <<'PYTHON'
import torch

zero, one, half = (torch.tensor(value, dtype=torch.float64) for value in (0.0, 1.0, 0.5))
single = torch.distributions.GeneralizedPareto(zero.float(), one.float(), half.float())
double = torch.distributions.GeneralizedPareto(zero, one, half)
exact = -3 * torch.tensor(1.25).log()  # -(1 + 1 / 0.5) log(1 + 0.5 * 0.5)
assert torch.isclose(single.log_prob(half.float()), exact)
for name in ("log_prob", "cdf"):
    try:
        getattr(double, name)(half)
    except RuntimeError as error:
        print(name, "->", error)
        assert "Double did not match Float" in str(error)
    else:
        raise SystemExit(f"{name} runs now")
PYTHON
