"""Inverse autoregressive flow on a diagonal Gaussian (Kingma et al. 2016)."""

import warnings
from typing import Annotated, Any

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from pyro.nn import ConditionalAutoRegressiveNN
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn.functional import logsigmoid

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
        self.steps = nn.ModuleList(Step(context, features, max(hidden, features), t % 2 == 1) for t in range(steps))

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        return dist.TransformedDistribution(self.base(h), [Gated(step, h) for step in self.steps])


class Step(nn.Module):
    """The masked network of one step: (*L, features) and h (*L', context) -> (m, raw gate), in its own ordering."""

    def __init__(self, context: int, features: int, hidden: int, backwards: bool) -> None:
        super().__init__()
        # A list of ints beside the network's own buffer: a loop over a buffer syncs with the device at every turn.
        self.order = list(range(features))[:: -1 if backwards else 1]
        with warnings.catch_warnings():
            # In one dimension the network is a function of h alone, which is what is wanted there.
            warnings.filterwarnings("ignore", message="ConditionalAutoRegressiveNN input_dim = 1")
            order: Any = torch.tensor(self.order, dtype=torch.long)
            self.net = ConditionalAutoRegressiveNN(
                features, context, [hidden, hidden], permutation=order, nonlinearity=nn.ELU()
            )

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return self.net(z, h)


class Gated(Transform):
    """One step at a given h. Pyro's `AffineAutoregressive(stable=True)` is the same map; this one inverts in the dtype
    of the value and without a host sync."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True
    sign = +1

    def __init__(self, step: nn.Module, h: Tensor) -> None:
        super().__init__(cache_size=1)
        self.step = step
        self.h = h
        self._log_scale: Tensor | None = None

    def _call(self, x: Tensor) -> Tensor:
        shift, raw = self.step(x, self.h)
        gate = raw + 2.0
        self._log_scale = logsigmoid(gate)
        scale = gate.sigmoid()
        return scale * x + (1 - scale) * shift

    def _inverse(self, y: Tensor) -> Tensor:
        x = torch.zeros_like(y)
        for d in self.step.order:  # type: ignore[union-attr]
            shift, raw = self.step(x, self.h)
            gate = raw[..., d] + 2.0
            value = shift[..., d] + (y[..., d] - shift[..., d]) / gate.sigmoid()
            # Out of place: autograd still needs the x that the network was called with.
            x = torch.cat([x[..., :d], value.unsqueeze(-1), x[..., d + 1 :]], -1)
        self._log_scale = None
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x_old, y_old = self._cached_x_y
        if self._log_scale is not None and x is x_old and y is y_old:
            return self._log_scale.sum(-1)
        return logsigmoid(self.step(x, self.h)[1] + 2.0).sum(-1)
