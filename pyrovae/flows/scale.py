"""Positive numbers from real ones, 1 at 0."""

from torch import Tensor
from torch.nn.functional import softplus

UNIT = 0.5413248546129181
"""softplus(UNIT) = 1: scales start near that of a standard normal prior."""

LEAST = 1e-3
"""The least slope of a map that is inverted: below, the inverse loses the digits of float32."""


def positive(raw: Tensor) -> Tensor:
    """softplus, shifted so that 0 gives 1."""
    return softplus(raw + UNIT)


def slope(raw: Tensor) -> Tensor:
    """`positive`, but at least LEAST; 0 gives 1."""
    return LEAST + (1 - LEAST) * positive(raw)
