"""Inverse autoregressive flow on a diagonal Gaussian (Kingma et al. 2016)."""

from typing import Annotated

import pyro.distributions as dist
from pydantic import Field as Option
from torch import Tensor, nn

from pyrovae.flows.autoregressive import Autoregressive
from pyrovae.flows.elementwise import Gate
from pyrovae.flows.nets import Masked
from pyrovae.guides.diagonal import Diagonal


class IAF(nn.Module):
    """q(z | h): z_0 ~ N(mu(h), diag sigma(h)^2), then T steps z_t = s_t * z_(t-1) + (1 - s_t) * m_t.

    s_t = sigmoid(. + 2) and m_t come from a masked network (MADE, Germain et al. 2015) of z_(t-1) and h, whose
    ordering is reversed from one step to the next; log q(z | h) = log q(z_0 | h) - sum log s_t. Sampling and scoring
    an own sample cost one pass; scoring a foreign value costs one pass a dimension.
    """

    def __init__(
        self,
        context: int,
        features: int,
        steps: Annotated[int, Option(ge=1, description="T, autoregressive steps")] = 2,
        hidden: Annotated[int, Option(ge=1, description="width of each masked network's two hidden layers")] = 64,
    ) -> None:
        super().__init__()
        self.base = Diagonal(context, features)
        self.each = Gate()
        self.steps = nn.ModuleList(Masked(context, features, hidden, self.each.count, t % 2 == 1) for t in range(steps))

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        flows = [Autoregressive(step(h), step.order, self.each) for step in self.steps]  # type: ignore[arg-type]
        q: dist.TorchDistribution = dist.TransformedDistribution(self.base(h), flows)
        return q
