"""Affine coupling flow on a diagonal Gaussian, the real NVP (Dinh et al. 2017)."""

from typing import Annotated

import pyro.distributions as dist
from pydantic import Field as Option
from torch import Tensor, nn

from pyrovae.flows.coupling import Couplings
from pyrovae.flows.elementwise import Affine
from pyrovae.guides.diagonal import Diagonal


class Coupling(nn.Module):
    """q(z | h): z_0 ~ N(mu(h), diag sigma(h)^2), then T steps (a, b) -> (a, s(a, h) * b + m(a, h)).

    a is the first half of z at one step and the last half at the next; s is softplus. Sampling and scoring cost one
    pass.

    Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio: Density Estimation using Real NVP. ICLR 2017.
    """

    def __init__(
        self,
        context: int,
        features: int,
        steps: Annotated[int, Option(ge=1, description="T, couplings")] = 4,
        hidden: Annotated[int, Option(ge=1, description="width of each network's two hidden layers")] = 64,
    ) -> None:
        super().__init__()
        self.base = Diagonal(context, features)
        self.flows = Couplings(context, features, steps, hidden, Affine())

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        q: dist.TorchDistribution = dist.TransformedDistribution(self.base(h), self.flows(h))
        return q
