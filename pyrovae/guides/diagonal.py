"""Gaussian with a diagonal covariance, the mean-field guide (Kingma & Welling 2014)."""

import pyro.distributions as dist
from torch import Tensor, nn

from pyrovae.flows.gaussians import Normal
from pyrovae.flows.scale import positive
from pyrovae.nets.mlp import linear


class Diagonal(nn.Module):
    """q(z | h) = N(mu(h), diag sigma(h)^2), with mu linear in h and sigma = softplus of linear in h."""

    def __init__(self, context: int, features: int) -> None:
        super().__init__()
        self.loc = linear(context, features)
        self.raw = linear(context, features)

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        q: dist.TorchDistribution = Normal(self.loc(h), positive(self.raw(h))).to_event(1)  # type: ignore[no-untyped-call]
        return q
