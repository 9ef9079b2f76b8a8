"""Increasing maps of the real line, elementwise, whose parameters come from a network."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, pad

from pyrovae.flows.scale import positive, slope

NARROWEST = 1e-2
"""The least part of the box that a bin takes: slopes beyond 100 cost the inverse its digits in float32."""


class Elementwise(ABC):
    """An increasing map x -> y of each element, with raw parameters of shape (*L, count, features).

    Attributes:
        count: raw parameters of one element.
    """

    count: int

    @abstractmethod
    def push(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """x (*L, features) -> y, and log dy/dx, which broadcasts to its shape."""

    @abstractmethod
    def pull(self, y: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """y -> x and log dy/dx at x: the inverse of `push`."""


class Affine(Elementwise):
    """y = s x + m with s = softplus; the identity at raw parameters 0."""

    count = 2

    def push(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale = raw.unbind(-2)
        scale = positive(scale)
        return shift + scale * x, scale.log()

    def pull(self, y: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale = raw.unbind(-2)
        scale = positive(scale)
        return (y - shift) / scale, scale.log()


class Gate(Elementwise):
    """y = s x + (1 - s) m with s = sigmoid(. + 2)."""

    count = 2

    def push(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, gate = raw.unbind(-2)
        gate = gate + 2.0
        scale = gate.sigmoid()
        return scale * x + (1 - scale) * shift, logsigmoid(gate)

    def pull(self, y: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, gate = raw.unbind(-2)
        gate = gate + 2.0
        return shift + (y - shift) / gate.sigmoid(), logsigmoid(gate)


class RationalQuadratic(Elementwise):
    """A monotone rational-quadratic spline on [-bound, bound], the identity outside and at raw parameters 0.

    Widths and heights of the bins are softmax, slopes at the inner knots softplus, and 1 at the ends. Pyro's spline
    asserts on values and writes in place, which neither a graph nor vmap takes; in float32 the discriminant of the
    inverse may come out negative, and is cut at 0 here.

    Conor Durkan, Artur Bekasov, Iain Murray, George Papamakarios: Neural Spline Flows. NeurIPS 2019.
    """

    def __init__(self, bins: int, bound: float = 5.0) -> None:
        self.bins = bins
        self.bound = bound
        self.count = 3 * bins - 1

    def push(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        inside, x0, y0, width, height, d0, d1 = self._bin(x, raw, 0)
        s = height / width
        t = torch.where(inside, (x - x0) / width, 0.5)  # 0.5: any place with finite gradients
        y = y0 + height * (s * t * t + d0 * t * (1 - t)) / (s + (d0 + d1 - 2 * s) * t * (1 - t))
        return torch.where(inside, y, x), torch.where(inside, _log_slope(t, s, d0, d1), 0.0)

    def pull(self, y: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        inside, x0, y0, width, height, d0, d1 = self._bin(y, raw, 1)
        s = height / width
        v = torch.where(inside, (y - y0) / height, 0.5)
        bend = (d0 + d1 - 2 * s) * v
        a, b, c = s - d0 + bend, d0 - bend, -s * v
        t = 2 * c / (-b - (b * b - 4 * a * c).clamp_min(1e-12).sqrt())
        t = t.clamp(0, 1)
        return torch.where(inside, x0 + t * width, y), torch.where(inside, _log_slope(t, s, d0, d1), 0.0)

    def _bin(self, value: Tensor, raw: Tensor, axis: int) -> tuple[Tensor, ...]:
        """Whether a value is inside, and left knot, width, height and end slopes of its bin; axis 0 is x, 1 is y."""
        widths, heights, slopes = raw.transpose(-1, -2).split((self.bins, self.bins, self.bins - 1), -1)
        sizes = torch.stack([self._sizes(widths), self._sizes(heights)])  # (2, *L, features, bins)
        knots = pad(sizes.cumsum(-1)[..., :-1], (1, 0)) - self.bound
        slopes = pad(slope(slopes), (1, 1), value=1.0)
        inside = (value > -self.bound) & (value < self.bound)
        # The bin, as a one-hot: the first knot stands left of every value that is inside.
        k = ((value.unsqueeze(-1) >= knots[axis, ..., 1:]).sum(-1)).unsqueeze(-1)
        chosen = (k == torch.arange(self.bins, device=value.device)).to(value.dtype)

        def pick(each: Tensor) -> Tensor:
            return (each * chosen).sum(-1)

        return (
            inside,
            pick(knots[0]),
            pick(knots[1]),
            pick(sizes[0]),
            pick(sizes[1]),
            pick(slopes[..., :-1]),
            pick(slopes[..., 1:]),
        )

    def _sizes(self, raw: Tensor) -> Tensor:
        return 2 * self.bound * (NARROWEST + (1 - NARROWEST * self.bins) * raw.softmax(-1))


def _log_slope(t: Tensor, s: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    """log dy/dx at t in [0, 1] of a bin of mean slope s and end slopes d0, d1."""
    top = s * s * (d1 * t * t + 2 * s * t * (1 - t) + d0 * (1 - t) * (1 - t))
    return top.log() - 2 * (s + (d0 + d1 - 2 * s) * t * (1 - t)).log()
