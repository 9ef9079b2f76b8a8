"""Coupling flow: one part of z is kept, and says how the other is mapped (Dinh et al. 2017)."""

import torch
from torch import Tensor, nn

from pyrovae.flows.elementwise import Elementwise
from pyrovae.flows.flow import Flow
from pyrovae.flows.nets import Conditioner, OfZ


class Coupling(Flow):
    """y = (a, g(b)) for x = (a, b), with an increasing g whose parameters are read from a and h; one pass both ways.

    Args:
        net: the network of a, at h.
        each: the increasing map g.
        kept: dimensions of a; in one dimension it is 0, and the map a function of h alone.
        backwards: a stands at the end of x rather than at its start.
    """

    sign = +1

    def __init__(self, net: OfZ, each: Elementwise, kept: int, backwards: bool) -> None:
        super().__init__()
        self.net = net
        self.each = each
        self.kept = kept
        self.backwards = backwards

    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self._split(x)
        b, log_slope = self.each.push(b, self.net(a))
        return self._join(a, b), log_slope.sum(-1).expand(x.shape[:-1])

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self._split(y)
        b, log_slope = self.each.pull(b, self.net(a))
        return self._join(a, b), log_slope.sum(-1).expand(y.shape[:-1])

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.backwards:
            cut = x.shape[-1] - self.kept
            return x[..., cut:], x[..., :cut]
        return x[..., : self.kept], x[..., self.kept :]

    def _join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([b, a] if self.backwards else [a, b], -1)


class Couplings(nn.Module):
    """The networks of T couplings, which keep the first and the last half of z in turn: h -> the T flows."""

    def __init__(self, context: int, features: int, steps: int, hidden: int, each: Elementwise) -> None:
        super().__init__()
        self.kept = features // 2
        self.each = each
        self.nets = nn.ModuleList(
            Conditioner(context, self.kept, hidden, each.count, features - self.kept) for _ in range(steps)
        )

    def forward(self, h: Tensor) -> list[Coupling]:
        return [Coupling(net(h), self.each, self.kept, t % 2 == 1) for t, net in enumerate(self.nets)]
