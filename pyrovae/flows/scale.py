"""Positive numbers from real ones, 1 at 0."""

from torch import Tensor
from torch.nn.functional import softplus

UNIT = 0.5413248546129181
"""softplus(UNIT) = 1: scales start near that of a standard normal prior."""

FLOOR = 1e-4
"""The least scale. float32 rounds z to about 1e-6 of its size: of a distribution narrower than that, which an encoder
may give far from its data, an own sample would be scored as an impossible one."""

LEAST = 1e-3
"""The least slope of a map that is inverted: below, the inverse loses the digits of float32."""


def positive(raw: Tensor) -> Tensor:
    """softplus, shifted so that 0 gives 1, and at least FLOOR. An exponential overflows at high learning rates."""
    return FLOOR + (1 - FLOOR) * softplus(raw + UNIT)


def slope(raw: Tensor) -> Tensor:
    """The same, at least LEAST."""
    return LEAST + (1 - LEAST) * softplus(raw + UNIT)
