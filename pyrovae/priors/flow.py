"""A flow on the standard normal: a density that is learned, exact to score and to draw from."""

from typing import Annotated

import pyro.distributions as dist
from pydantic import Field as Option
from torch import nn

from pyrovae.flows.coupling import Couplings
from pyrovae.flows.elementwise import Affine
from pyrovae.priors.standard import StandardNormal


class FlowPrior(nn.Module):
    """p(z): z_0 ~ N(0, I), then T affine couplings (Dinh et al. 2017); close to N(0, I) at first.

    Xi Chen, Diederik P. Kingma, Tim Salimans, Yan Duan, Prafulla Dhariwal, John Schulman, Ilya Sutskever, Pieter
    Abbeel: Variational Lossy Autoencoder. ICLR 2017.

    Args:
        features: dimensions of z.
        steps: T.
        hidden: width of each network's two hidden layers.
    """

    def __init__(self, features: int, steps: int, hidden: int) -> None:
        super().__init__()
        self.base = StandardNormal(features)
        self.flows = Couplings(0, features, steps, hidden, Affine())

    def forward(self) -> dist.TorchDistribution:
        p: dist.TorchDistribution = dist.TransformedDistribution(self.base(), self.flows(self.base.zero[:0]))
        return p


def flow(
    features: int,
    steps: Annotated[int, Option(ge=1, le=10**3, description="T, couplings")] = 4,
    hidden: Annotated[int, Option(ge=1, description="width of each network's two hidden layers")] = 64,
) -> FlowPrior:
    """The prior `flow`, with its options."""
    return FlowPrior(features, steps, hidden)
