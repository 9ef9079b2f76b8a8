"""Planar flow on a diagonal Gaussian (Rezende & Mohamed 2015)."""

from typing import Annotated

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from torch import Tensor, nn

from pyrovae.flows.flow import Flow
from pyrovae.flows.root import tanh_root
from pyrovae.flows.scale import slope
from pyrovae.guides.diagonal import Diagonal
from pyrovae.nets.mlp import linear


class Planar(nn.Module):
    """q(z | h): z_0 ~ N(mu(h), diag sigma(h)^2), then T steps z_t = z_(t-1) + u tanh(w'z_(t-1) + b), all from h.

    log q(z | h) = log q(z_0 | h) - sum log |1 + w'u (1 - tanh^2)|. Sampling costs one pass; a foreign value is
    inverted along w, where the equation is one of a scalar.

    Danilo Jimenez Rezende, Shakir Mohamed: Variational Inference with Normalizing Flows. ICML 2015.
    """

    def __init__(
        self,
        context: int,
        features: int,
        steps: Annotated[int, Option(ge=1, description="T, planar steps")] = 8,
    ) -> None:
        super().__init__()
        self.base = Diagonal(context, features)
        self.features, self.steps = features, steps
        self.flow = linear(context, steps * (2 * features + 1))

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        raw = self.flow(h).unflatten(-1, (self.steps, -1))  # (*L, T, 2 features + 1)
        u, w, b = raw.split((self.features, self.features, 1), -1)
        u, s = invertible(0.1 * u, w)
        steps = zip(u.unbind(-2), w.unbind(-2), b.unbind(-2), s.unbind(-2), strict=True)
        q: dist.TorchDistribution = dist.TransformedDistribution(self.base(h), [PlanarFlow(*step) for step in steps])
        return q


def invertible(u: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """u, moved along w so that s = 1 + w'u > 0, and s (*L, 1).

    The paper sets w'u to softplus(w'u) - 1, which is not 0 at 0. Here it is `slope(w'u)` - 1, which is, and 1 + w'u
    stays large enough to be divided by.
    """
    along = (u * w).sum(-1, keepdim=True)
    s = slope(along)
    return u + (s - 1 - along) * w / w.square().sum(-1, keepdim=True).clamp_min(1e-12), s


class PlanarFlow(Flow):
    """y = x + u tanh(w'x + b), with s = 1 + w'u > 0."""

    sign = +1

    def __init__(self, u: Tensor, w: Tensor, b: Tensor, s: Tensor) -> None:
        super().__init__()
        self.u, self.w, self.b, self.s = u, w, b, s

    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.tanh((self.w * x).sum(-1, keepdim=True) + self.b)
        return x + self.u * t, self._log_det_at(t)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        r, c = self.s - 1, (self.w * y).sum(-1, keepdim=True)
        a = tanh_root(r, torch.ones_like(r), self.b, c)  # w'x
        t = torch.tanh(a + self.b)
        # At the root this changes no value, and it has the gradients of the root.
        a = a - (a + r * t - c) / (t * t + self.s * (1 - t * t)).detach()
        t = torch.tanh(a + self.b)
        return y - self.u * t, self._log_det_at(t)

    def _log_det_at(self, t: Tensor) -> Tensor:
        # 1 + w'u (1 - t^2), in a form that stays positive where w'u is close to -1.
        return (t * t + self.s * (1 - t * t)).log().squeeze(-1)
