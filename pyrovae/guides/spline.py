"""Neural spline flow, coupling or inverse autoregressive (Durkan et al. 2019)."""

from typing import Annotated, Literal

import pyro.distributions as dist
from pydantic import Field as Option
from torch import Tensor, nn
from torch.distributions import AffineTransform

from pyrovae.flows.autoregressive import Autoregressives
from pyrovae.flows.coupling import Couplings
from pyrovae.flows.elementwise import RationalQuadratic
from pyrovae.flows.gaussians import Normal
from pyrovae.flows.scale import positive
from pyrovae.nets.mlp import linear

Kind = Literal["coupling", "autoregressive"]


class Spline(nn.Module):
    """q(z | h): e ~ N(0, I), then T steps of monotone rational-quadratic splines, then z = mu(h) + sigma(h) * e_T.

    Each spline maps [-5, 5] onto itself and is the identity outside; its bins come from a network of h and of the
    other half of e (`coupling`: sampling and scoring cost one pass) or of the e before it in an ordering that turns
    (`autoregressive`: scoring a foreign value costs one pass a dimension). mu and sigma come last, so that the box of
    the splines lies around the noise whatever h says.

    Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios: Neural Spline Flows. NeurIPS 2019.
    """

    def __init__(
        self,
        context: int,
        features: int,
        steps: Annotated[int, Option(ge=1, description="T, steps of splines")] = 2,
        hidden: Annotated[int, Option(ge=1, description="width of each network's two hidden layers")] = 64,
        bins: Annotated[int, Option(ge=2, le=50, description="bins of each spline")] = 8,
        kind: Annotated[Kind, Option(description="coupling or autoregressive")] = "coupling",
    ) -> None:
        super().__init__()
        self.loc = linear(context, features)
        self.raw = linear(context, features)
        make = {"coupling": Couplings, "autoregressive": Autoregressives}[kind]
        self.flows = make(context, features, steps, hidden, RationalQuadratic(bins))

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        loc, scale = self.loc(h), positive(self.raw(h))
        base = Normal(loc.new_zeros(()), loc.new_ones(())).expand(loc.shape).to_event(1)  # type: ignore[no-untyped-call]
        # With its cache, or an own sample would look foreign to the splines before it.
        last = AffineTransform(loc, scale, event_dim=1, cache_size=1)
        q: dist.TorchDistribution = dist.TransformedDistribution(base, [*self.flows(h), last])
        return q
