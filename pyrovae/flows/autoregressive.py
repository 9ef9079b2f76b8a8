"""Inverse autoregressive flow: sampling takes one pass of a masked network (Kingma et al. 2016)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyrovae.flows.elementwise import Elementwise
from pyrovae.flows.flow import Flow
from pyrovae.flows.nets import Masked, OfZ, near_zero


class Autoregressive(Flow):
    """y_d = g(x_d) with an increasing g whose parameters are read from h and from the x before x_d in the ordering.

    `push` takes one pass of the network, `pull` one a dimension.

    Args:
        net: the masked network at h.
        order: the ordering of the dimensions.
        each: the increasing map.
    """

    sign = +1

    def __init__(self, net: OfZ, order: Sequence[int], each: Elementwise) -> None:
        super().__init__()
        self.net = net
        self.order = order
        self.each = each

    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_slope = self.each.push(x, self.net(x))
        return y, log_slope.sum(-1)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x, log_slopes = torch.zeros_like(y), []
        for d in self.order:
            value, log_slope = self.each.pull(y[..., d : d + 1], self.net(x)[..., d : d + 1])
            # Out of place: autograd still needs the x that the network was called with.
            x = torch.cat([x[..., :d], value, x[..., d + 1 :]], -1)
            log_slopes.append(log_slope)
        return x, torch.cat(log_slopes, -1).sum(-1)


class Autoregressives(nn.Module):
    """The masked networks of T inverse autoregressive steps, whose orderings turn: h -> the T flows."""

    def __init__(self, context: int, features: int, steps: int, hidden: int, each: Elementwise) -> None:
        super().__init__()
        self.each = each
        self.nets = nn.ModuleList(Masked(context, features, hidden, each.count, t % 2 == 1) for t in range(steps))
        for masked in self.nets:
            near_zero(masked.net.layers[-1])  # type: ignore[union-attr, index, arg-type]

    def forward(self, h: Tensor) -> list[Autoregressive]:
        return [Autoregressive(net(h), net.order, self.each) for net in self.nets]  # type: ignore[arg-type]
