"""Whether the distributions of a pair integrate to one, each number of a datum by quadrature."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from pyro.distributions import Delta, VonMises
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints

from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import dtype_of, placed, precision_of
from pyrovae.pairs.supports import bare, family_of, innermost, support
from pyrovae.pairs.traces import sites, traces

OFF = 0.01
"""How far an integral may be off one."""

AGREE = 0.01
"""How near integrals by all nodes and by every second one must be to say anything: three times the error of the first,
of which extrapolation (Richardson's) leaves less."""

NUMBERS = 1500
"""Numbers of a site that are looked at: the first data as far as they go, one at the least."""

DRAWS, NODES, MORE = 100, 129, 16
"""A first look at each number; those of a second, which decides, are `MORE` times as many."""


class Unnormalised(NamedTuple):
    """A number whose distribution does not integrate to one.

    Attributes:
        site: its name.
        row: of the datum.
        family: the distribution, by name.
        integral: what it integrates to, or sums to.
        discrete: whether that is a sum.
    """

    site: str
    row: int
    family: str
    integral: float
    discrete: bool


def improper(pair: Pair, batch: Sequence[Tensor], model_only: bool = False) -> str:
    """Which site has a distribution that does not integrate to one in the precision of the pair, in a sentence; empty
    where none is found. Draws from torch's generator, in the mode that it finds.

    Only sites of independent numbers are looked at, of supports that are an interval or whole numbers. A distribution
    says nothing that cannot be drawn from, whose draws stand at a border of its support, or that no nodes resolve.
    """
    sizes = [math.prod(s["value"].shape[1:]) for p in traces(pair, [t[:1] for t in batch]) for s in sites(p).values()]
    few = [tensor[: max(1, NUMBERS // max([1, *sizes]))] for tensor in batch]
    found = next(_found(pair, few, model_only), None)
    if found is None:
        return ""
    what = (
        f"site '{found.site}' has a {found.family} that {'sums' if found.discrete else 'integrates'} to "
        f"{found.integral:.3g} and not to 1 in {precision_of(pair)}, at row {found.row} of the data tried"
    )
    if dtype_of(pair) is not torch.float64 and few[0].device.type != "mps" and not _in_double(pair, few, found.site):
        return f"{what}: score in double precision, pair.double()"
    return f"{what}: keep its parameters where it does (logits clamped, scales bounded), or take another distribution"


def _in_double(pair: Pair, batch: Sequence[Tensor], site: str) -> bool:
    """Whether the site is off in double precision, too, or the pair does not run there."""
    twin = copy.deepcopy(pair).double()
    try:
        with scoring(twin):
            return any(found.site == site for found in _found(twin, placed(twin, batch)))
    except (RuntimeError, TypeError, ValueError):
        return True


def _found(pair: Pair, batch: Sequence[Tensor], model_only: bool = False) -> Iterator[Unnormalised]:
    """The number of each site that is furthest off, of the model and, unless it is left out, of the guide."""
    p, q = traces(pair, batch)
    of_guide = {} if model_only else sites(q, observed=False)
    for name, site in (*sites(p).items(), *of_guide.items()):
        family = _one(site["fn"])
        if family is None or not (family.batch_shape and family.batch_shape.numel()):
            continue
        try:
            off, total = apart_from_one(family)
        except (NotImplementedError, AttributeError, RuntimeError, ValueError, TypeError):
            continue  # it has no draws, or no log-probability of several values
        if off.any():
            worst = int(torch.where(off, total.clamp_min(1e-30).log().abs(), -1.0).argmax())
            # A prior of all data has no dim of theirs.
            wide = family.batch_shape[0] == first_dim(batch)
            row = worst // (family.batch_shape.numel() // family.batch_shape[0]) if wide else 0
            yield Unnormalised(name, row, family_of(family), float(total.flatten()[worst]), _is_discrete(family))


def apart_from_one(family: Distribution) -> tuple[Tensor, Tensor]:
    """Which numbers of a distribution over numbers do not integrate to one, and the integrals: batch shape, both.

    A number is off where two looks, the second with other and more draws and nodes, say so.
    """
    off, total = _look(family, DRAWS, NODES, 10 * AGREE)
    if off.any():
        again, total = _look(family, MORE * DRAWS, MORE * (NODES - 1) + 1, AGREE)
        off = off & again
    return off, total


def _one(family: Distribution) -> Distribution | None:
    """The distribution of each number of a site, where its numbers are independent and of a support that is known."""
    family = bare(family)
    if family.event_shape or isinstance(family, Delta | Categorical) or _bounds(family) is None:
        return None
    return family


def _bounds(family: Distribution) -> tuple[Tensor | float, Tensor | float] | None:
    """The ends of a support; None where it is neither an interval nor whole numbers."""
    if isinstance(family, VonMises):
        return -math.pi, math.pi  # torch calls its support the real numbers
    known = innermost(support(family))
    kinds = (  # by their classes: constraints.unit_interval and its like are instances
        (type(constraints.real), -math.inf, math.inf),
        (type(constraints.boolean), 0, 1),
        (type(constraints.unit_interval), "lower_bound", "upper_bound"),
        (constraints.half_open_interval, "lower_bound", "upper_bound"),
        (type(constraints.positive), "lower_bound", math.inf),
        (constraints.greater_than_eq, "lower_bound", math.inf),
        (constraints.less_than, -math.inf, "upper_bound"),
        (constraints.integer_interval, "lower_bound", "upper_bound"),
        (type(constraints.nonnegative_integer), "lower_bound", math.inf),
    )
    for kind, low, high in kinds:
        if isinstance(known, kind):
            ends = (getattr(known, end) if isinstance(end, str) else end for end in (low, high))
            return next(ends), next(ends)
    return None


def _look(family: Distribution, draws: int, nodes: int, agree: float) -> tuple[Tensor, Tensor]:
    """Which integrals are off one, as far as draws and nodes can say, and the integrals; batch shape, both."""
    x = family.sample(torch.Size([draws])).sort(0).values
    dtype, shape, discrete = x.dtype, x.shape[1:], _is_discrete(family)
    low, high = (torch.as_tensor(end, device=x.device).double().expand(shape) for end in _bounds(family) or ())
    warp = _Warp(low, high, x.double(), discrete)
    least, most = warp.to(x[0].double()), warp.to(x[-1].double())
    wider = (most - least).clamp_min(1.0 if discrete else 1e-3)
    t = torch.linspace(-1, 2, nodes, dtype=torch.float64, device=x.device).reshape(-1, *[1] * len(shape))
    at = warp.back(least + t * wider)
    at = (at.round() if discrete else _within(at, low, high, dtype)).clamp(low, high).to(dtype)
    f, log_drawn = family.log_prob(at).double().exp(), family.log_prob(x).double()
    drawn_range = (at >= x[0]) & (at <= x[-1])
    at = at.double()
    first, half = _trapezoid(f, at, discrete), _trapezoid(f[::2], at[::2], discrete)
    total, inner = (4 * first - half) / 3, _trapezoid(torch.where(drawn_range, f, 0.0), at, discrete)
    # Beyond the draws a density may be periodic: more than one is counted among them.
    off = (total < 1 - OFF) | ((total > 1 + OFF) & (inner > 1 + OFF))
    known = total.isfinite() & ((first - half).abs() <= agree * first) & log_drawn.isfinite().all(0)
    # Nodes between the peaks of a density see none of them, and draws do.
    known &= f.max(0).values >= log_drawn.max(0).values.exp() / 2
    if not discrete:
        known &= ~_at_an_end(x, low, high)
    return off & known, total


def _within(at: Tensor, low: Tensor, high: Tensor, dtype: torch.dtype) -> Tensor:
    """Nodes moved off the ends of a support, where densities may be infinite."""
    info = torch.finfo(dtype)
    above = low + torch.where(low == 0, info.tiny, info.eps * low.abs().nan_to_num(posinf=0.0))
    below = high - info.eps * torch.maximum(high.abs(), low.abs()).nan_to_num(posinf=0.0)
    return torch.minimum(torch.maximum(at, above), below)


def _at_an_end(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Where ordered draws stand at an end of their support, as no number lies nearer to it, or are equal."""
    info, value = torch.finfo(x.dtype), x[[0, -1]].double()
    above = low + 16 * torch.where(low == 0, info.tiny, info.eps * low.abs().nan_to_num(posinf=0.0))
    below = high - 16 * info.eps * torch.maximum(high.abs(), low.abs()).nan_to_num(posinf=0.0)
    ends: Tensor = (value <= above) | (value >= below) | (value.abs() >= info.max / 16)
    return ends.any(0) | (x[2:] == x[:-2]).any(0)


def _is_discrete(family: Distribution) -> bool:
    return bool(innermost(support(family)).is_discrete)


def _trapezoid(f: Tensor, at: Tensor, discrete: bool) -> Tensor:
    """The integral over ordered nodes, or the sum over the whole numbers from the first to the last of them."""
    found = ((f[1:] + f[:-1]) * (at[1:] - at[:-1])).sum(0) / 2
    return found + (f[0] + f[-1]) / 2 if discrete else found


class _Warp:
    """A map of a support to the real numbers in which a density is smooth and its tails are at least exponential."""

    def __init__(self, low: Tensor, high: Tensor, ordered: Tensor, discrete: bool) -> None:
        self.low, self.high = low, high
        self.below, self.above = bool(low.isfinite().all()), bool(high.isfinite().all())  # whether there are ends
        self.line = discrete or not (self.below or self.above)
        self.middle = ordered[len(ordered) // 2]
        width = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
        self.width = width.clamp_min(1.0) if discrete else width.clamp_min(torch.finfo(torch.float64).tiny)

    def to(self, x: Tensor) -> Tensor:
        if self.line:
            return ((x - self.middle) / self.width).asinh()
        from_low = (x - self.low).log() if self.below else torch.zeros_like(x)
        return from_low - (self.high - x).log() if self.above else from_low

    def back(self, u: Tensor) -> Tensor:
        if self.line:
            return self.middle + self.width * u.sinh()
        if not self.above:
            return self.low + u.exp()
        return self.low + (self.high - self.low) * u.sigmoid() if self.below else self.high - (-u).exp()
