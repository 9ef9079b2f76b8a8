"""Gaussian whose covariance is diagonal plus a matrix of low rank."""

from typing import Annotated

import pyro.distributions as dist
from pydantic import Field as Option
from torch import Tensor, nn

from pyrovae.flows.gaussians import LowRankMultivariateNormal
from pyrovae.flows.scale import positive
from pyrovae.nets.mlp import linear


class LowRank(nn.Module):
    """q(z | h) = N(mu, W W' + diag d), W of shape (features, rank), all from h."""

    def __init__(
        self,
        context: int,
        features: int,
        rank: Annotated[int, Option(ge=1, description="columns of W, at most the dimensions of z")] = 4,
    ) -> None:
        super().__init__()
        self.rank = min(rank, features)
        self.loc = linear(context, features)
        self.raw = linear(context, features)
        self.factor = linear(context, features * self.rank)

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        factor = self.factor(h).unflatten(-1, (-1, self.rank))
        return LowRankMultivariateNormal(self.loc(h), 0.1 * factor, positive(self.raw(h)))
