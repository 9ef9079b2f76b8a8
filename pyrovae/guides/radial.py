"""Radial flow on a diagonal Gaussian (Rezende & Mohamed 2015)."""

from typing import Annotated

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from torch import Tensor, nn

from pyrovae.flows.flow import Flow
from pyrovae.flows.scale import positive, slope
from pyrovae.guides.diagonal import Diagonal
from pyrovae.nets.mlp import linear


class Radial(nn.Module):
    """q(z | h): z_0 ~ N(mu(h), diag sigma(h)^2), then T steps z_t = z_(t-1) + beta (z_(t-1) - c) / (alpha + r).

    r = |z_(t-1) - c|; the centre c, alpha > 0 and beta > -alpha come from h. A step draws mass to its centre or away
    from it. Sampling and scoring cost one pass: the inverse is the root of a quadratic.

    Danilo Jimenez Rezende, Shakir Mohamed: Variational Inference with Normalizing Flows. ICML 2015.
    """

    def __init__(
        self,
        context: int,
        features: int,
        steps: Annotated[int, Option(ge=1, description="T, radial steps")] = 8,
    ) -> None:
        super().__init__()
        self.base = Diagonal(context, features)
        self.features, self.steps = features, steps
        self.flow = linear(context, steps * (features + 2))

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        raw = self.flow(h).unflatten(-1, (self.steps, -1))  # (*L, T, features + 2)
        center, alpha, s = raw.split((self.features, 1, 1), -1)
        alpha, s = positive(alpha), slope(0.1 * s)
        steps = zip(center.unbind(-2), alpha.unbind(-2), s.unbind(-2), strict=True)
        q: dist.TorchDistribution = dist.TransformedDistribution(self.base(h), [RadialFlow(*step) for step in steps])
        return q


class RadialFlow(Flow):
    """y - c = (x - c) (r + alpha s) / (r + alpha), which is beta = alpha (s - 1): s > 0 makes it invertible."""

    sign = +1

    def __init__(self, center: Tensor, alpha: Tensor, s: Tensor) -> None:
        super().__init__()
        self.center, self.alpha, self.near = center, alpha, alpha * s

    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        away = x - self.center
        r = away.norm(dim=-1, keepdim=True)
        return self.center + away * (r + self.near) / (r + self.alpha), self._log_det_at(r, x.shape[-1])

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        away = y - self.center
        R = away.norm(dim=-1, keepdim=True)
        # r^2 + (alpha s - R) r - alpha R = 0 has one root r >= 0: of its two forms the one that subtracts nothing.
        p = R - self.near
        root = (p * p + 4 * self.alpha * R).sqrt()
        r = torch.where(p > 0, (p + root) / 2, 2 * self.alpha * R / torch.where(p > 0, 1.0, root - p))
        return self.center + away * (r + self.alpha) / (r + self.near), self._log_det_at(r, y.shape[-1])

    def _log_det_at(self, r: Tensor, features: int) -> Tensor:
        # (1 + beta / (alpha + r))^(D - 1) (1 + alpha beta / (alpha + r)^2), as sums of positive terms.
        outer, inner = r + self.alpha, r + self.near
        across = (features - 1) * (inner / outer).log()
        along = (r * (outer + self.alpha) + self.alpha * self.near).log() - 2 * outer.log()
        return (across + along).squeeze(-1)
