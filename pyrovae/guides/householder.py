"""Householder flow on a diagonal Gaussian, a Gaussian with a full covariance (Tomczak & Welling 2016)."""

from typing import Annotated

import pyro.distributions as dist
from pydantic import Field as Option
from pyro.distributions.transforms.householder import ConditionedHouseholder
from torch import Tensor, nn

from pyrovae.guides.diagonal import Diagonal
from pyrovae.nets.mlp import linear


class Householder(nn.Module):
    """q(z | h): z_0 ~ N(mu(h), diag sigma(h)^2), then T reflections z_t = z_(t-1) - 2 v (v'z_(t-1)) / |v|^2, v from h.

    Reflections preserve volume, so log q(z | h) = log q(z_0 | h), and z is a Gaussian with a rotated covariance. They
    start close to one hyperplane, so that two in turn start close to the identity. In one dimension they do nothing
    but change the sign.

    Jakub M. Tomczak, Max Welling: Improving Variational Auto-Encoders using Householder Flow. 2016.
    """

    def __init__(
        self,
        context: int,
        features: int,
        steps: Annotated[int, Option(ge=1, description="T, reflections")] = 4,
    ) -> None:
        super().__init__()
        self.base = Diagonal(context, features)
        self.vectors = Vectors(context, features, steps)

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        q: dist.TorchDistribution = dist.TransformedDistribution(
            self.base(h), [ConditionedHouseholder(self.vectors(h))]
        )
        return q


class Vectors(nn.Module):
    """Normals of T hyperplanes, h (*L, context) -> (*L, T, features), around (1, ..., 1) / sqrt(features)."""

    def __init__(self, context: int, features: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.center = features**-0.5
        self.raw = linear(context, steps * features)

    def forward(self, h: Tensor) -> Tensor:
        vectors: Tensor = (self.center + 0.1 * self.raw(h)).unflatten(-1, (self.steps, -1))
        return vectors
