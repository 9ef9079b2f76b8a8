"""A Normal in units that are not those of its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints


class ScaledNormal(dist.TorchDistribution):
    """x = shift + unit u with u ~ N(loc, scale), elementwise: N(x; shift + unit loc, unit scale).

    log p(x) = log N((x - shift) / unit; loc, scale) - log unit is taken in the units of u: by the Normal of x, float32
    would lose the digits of a column whose mean is many deviations away from 0.

    Args:
        loc, scale: of u, of one shape; the scale positive.
        shift, unit: of x, broadcastable to it; the unit positive.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "shift": constraints.real,
        "unit": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self, loc: Tensor, scale: Tensor, shift: Tensor, unit: Tensor, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale = loc, scale
        self.shift, self.unit = shift.expand_as(loc), unit.expand_as(loc)
        super().__init__(loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: ScaledNormal | None = None) -> ScaledNormal:
        loc, scale, shift, unit = (each.expand(batch_shape) for each in (self.loc, self.scale, self.shift, self.unit))
        return ScaledNormal(loc, scale, shift, unit, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.shift + self.unit * self.loc

    @property
    def stddev(self) -> Tensor:
        return self.unit * self.scale

    @property
    def variance(self) -> Tensor:
        return self.stddev.square()

    @property
    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        log_prob: Tensor = self._of_u().log_prob((value - self.shift) / self.unit)
        return log_prob - self.unit.log()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        noise = torch.randn(
            self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype, device=self.loc.device
        )
        return self.shift + self.unit * (self.loc + self.scale * noise)

    def entropy(self) -> Tensor:
        entropy: Tensor = self._of_u().entropy()
        return entropy + self.unit.log()

    def cdf(self, value: Tensor) -> Tensor:
        share: Tensor = self._of_u().cdf((value - self.shift) / self.unit)
        return share

    def _of_u(self) -> dist.Normal:
        return dist.Normal(self.loc, self.scale, validate_args=False)
