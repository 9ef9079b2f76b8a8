"""Gaussian with a diagonal covariance, the mean-field guide (Kingma & Welling 2014)."""

import pyro.distributions as dist
from torch import Tensor, nn
from torch.nn.functional import softplus

from pyrovae.nets.mlp import linear

UNIT = 0.5413248546129181
"""softplus(UNIT) = 1: scales start near that of a standard normal prior."""


class Diagonal(nn.Module):
    """q(z | h) = N(mu(h), diag sigma(h)^2), with mu linear in h and sigma = softplus of linear in h."""

    def __init__(self, context: int, features: int) -> None:
        super().__init__()
        self.loc = linear(context, features)
        self.raw = linear(context, features)

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        return dist.Normal(self.loc(h), softplus(self.raw(h) + UNIT)).to_event(1)
