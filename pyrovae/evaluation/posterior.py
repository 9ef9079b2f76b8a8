"""The true posterior p(z | x) of a latent of two dimensions, by quadrature on a grid, beside the guide's q(z | x)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.evaluation.chunks import bytes_of, pieces
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import is_local
from pyrovae.pairs.traces import draw, particles, sites
from pyrovae.runtime import memory

SIZES = (64, 128, 256, 512)
"""Points a side; the next size is taken until two agree."""

AGREE = 0.005
"""Nats by which log p(x) and the KL of two sizes may differ."""

GUIDE_DRAWS, PRIOR_DRAWS, STEPS, NEARBY = 2000, 8000, 4, 1000
"""Draws of the search for the mass, and how often it looks around what it has found, and at how many points."""

DEPTH = 14.0
"""Nats below the highest density that the grid reaches: a Gaussian has e^-14 of its mass beyond, a millionth."""


@dataclasses.dataclass(frozen=True)
class Posterior:
    """p(z | x) and q(z | x) of one datum on one grid of z = (z1, z2), double precision on the CPU, nats.

    Attributes:
        axes: midpoints of the cells, (n,) and (n,).
        log_p: log p(z | x), (n, n), z1 along the first dim.
        log_q: log q(z | x), (n, n).
        log_likelihood: log p(x), by quadrature.
        sampled: log p(x) once more, by importance sampling from guide and prior together, which sees mass that the
            grid cuts off.
        standard_error: of `sampled`.
        kl: KL(q(z | x) || p(z | x)); None where the grid is not to be trusted: too coarse, q outside of it, or
            `sampled` finds more mass.
    """

    axes: tuple[Tensor, Tensor]
    log_p: Tensor
    log_q: Tensor
    log_likelihood: float
    sampled: float
    standard_error: float
    kl: float | None


def two_dimensional(pair: Pair, batch: Sequence[Tensor]) -> str | None:
    """The name of the latent where a pair has one, of two dimensions, for each datum; else None."""
    few = placed(pair, [tensor[:2] for tensor in batch])
    with scoring(pair, 0):
        latent = sites(draw(pair.guide, few), observed=False)
    if len(latent) != 1:
        return None
    ((name, site),) = latent.items()
    return name if is_local(site) and tuple(site["fn"].event_shape) == (2,) else None


def posteriors(pairs: Sequence[Pair], datum: Sequence[Tensor], seed: int = 0) -> list[Posterior]:
    """The posteriors of one datum under several pairs, on grids of one and the same range.

    The range holds what draws of each guide and each prior, and a search around the best of them, have found of q and
    of p(x, z), down to `DEPTH` nats below the highest. Weights, modes and generators are left as they were.

    Args:
        pairs: `two_dimensional` all of them.
        datum: the tensors that `pair.model(*batch)` takes, with one datum.
        seed: of the search.
    """
    found, ends = [], []
    for pair in pairs:
        one = _Densities(pair, datum)
        with scoring(pair, seed):
            sampled, error, points = _search(one)
        found.append((one, sampled, error))
        ends += [points.min(0).values, points.max(0).values]
    low, high = torch.stack(ends).min(0).values, torch.stack(ends).max(0).values
    margin = 0.12 * (high - low).clamp_min(1e-6)  # the search ends where its draws are sparse
    return [_refined(*each, low - margin, high + margin) for each in found]


class _Densities:
    """log p(x, z), log p(z) and log q(z | x) of one datum at many z."""

    def __init__(self, pair: Pair, datum: Sequence[Tensor]) -> None:
        name = two_dimensional(pair, datum)
        assert name is not None
        self.pair, self.name, self.device = pair, name, device_of(pair)
        self.datum = [tensor.to(self.device) for tensor in datum]
        with scoring(pair, 0):
            self.dtype = self.of_guide(1).dtype
            few = torch.zeros(64, 2, dtype=self.dtype, device=self.device)  # of one, the masks of a flow are larger
            self.bytes = -(-bytes_of(lambda: self._at(few)) // len(few))

    def of_guide(self, count: int) -> Tensor:
        """Draws, (count, 2)."""
        points: Tensor = sites(draw(particles(self.pair.guide, count), self.datum))[self.name]["value"].reshape(
            count, 2
        )
        return points

    def of_prior(self, count: int) -> Tensor:
        """Draws, (count, 2)."""
        value = sites(draw(particles(self.pair.model, count), self.datum))[self.name]["value"]
        points: Tensor = value.reshape(count, 2)
        return points

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """At (G, 2): three tensors (G,), double, on the CPU; -inf where a density is not known."""
        at_once = pieces(self.bytes, 1, len(z), self.device)[0].samples
        work = lambda rows: self._at(z[rows].to(self.device, self.dtype))  # noqa: E731
        parts = [found for _, found in memory.halved(len(z), at_once, work, self.device)]
        joint, prior, guide = (torch.cat(each).cpu().double() for each in zip(*parts, strict=True))
        return tuple(each.nan_to_num(nan=-math.inf) for each in (joint, prior, guide))  # type: ignore[return-value]

    def _at(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        G, values = len(z), {self.name: z.unsqueeze(1)}  # (G, 1, 2)
        p = draw(particles(self.pair.model, G), self.datum, values)
        q = draw(particles(self.pair.guide, G), self.datum, values)
        p.compute_log_prob()
        q.compute_log_prob()
        in_p, in_q = sites(p), sites(q, observed=False)
        joint = torch.zeros(G, 1, device=self.device)
        for site in in_p.values():
            joint = joint + site["log_prob"]
        latent = in_p[self.name]["log_prob"], in_q[self.name]["log_prob"]
        return joint.reshape(G), latent[0].expand(G, 1).reshape(G), latent[1].expand(G, 1).reshape(G)


def _search(of: _Densities) -> tuple[float, float, Tensor]:
    """log p(x) by importance sampling, its standard error, and points (G, 2) at which p or q is not small."""
    from_guide, from_prior = of.of_guide(GUIDE_DRAWS).cpu().double(), of.of_prior(PRIOR_DRAWS).cpu().double()
    points = torch.cat([from_guide, from_prior])
    joint, prior, guide = of(points)
    # Of the mixture of both (the balance heuristic of Veach & Guibas 1995): its weights are bounded by those of each.
    share = GUIDE_DRAWS / len(points)
    weights = joint - torch.logaddexp(guide + math.log(share), prior + math.log(1 - share))
    first, second = weights.logsumexp(0).item(), (2 * weights).logsumexp(0).item()
    error = math.sqrt(max(math.exp(second - 2 * first) - 1 / len(points), 0.0))
    sampled = first - math.log(len(points))
    for _ in range(STEPS):
        near = []
        for density in (joint, guide):
            high = points[density > density.max() - DEPTH]
            centre = high[torch.randint(len(high), (NEARBY,))]
            # Far steps go from tail to tail, short ones around modes that are narrow beside the space between them.
            step = torch.tensor([1.0, 0.2], dtype=torch.float64).repeat(NEARBY // 2)[:, None]
            spread = step * high.std(0, correction=0) + 1e-3 * points.std(0)
            near.append(centre + spread * torch.randn(NEARBY, 2, dtype=torch.float64))
        more = torch.cat(near)
        found = of(more)
        points, joint, guide = torch.cat([points, more]), torch.cat([joint, found[0]]), torch.cat([guide, found[2]])
    high = torch.cat([points[density > density.max() - DEPTH] for density in (joint, guide)])
    return sampled, error, high


def _refined(of: _Densities, sampled: float, error: float, low: Tensor, high: Tensor) -> Posterior:
    """On the first grid that agrees with the one before."""
    before: tuple[float, float] | None = None
    trusted = False
    with scoring(of.pair, 0):
        for n in SIZES:
            middle = (torch.arange(n, dtype=torch.float64) + 0.5) / n
            axes = (low[0] + (high - low)[0] * middle, low[1] + (high - low)[1] * middle)
            joint, _, guide = (each.reshape(n, n) for each in of(torch.cartesian_prod(*axes)))
            cell = math.log((high - low).prod().item() / n**2)
            total = joint.logsumexp((0, 1)).item() + cell
            log_p, held = joint - total, guide.exp().sum().item() * math.exp(cell)
            share = guide.exp() / guide.exp().sum()
            known = share > 0
            kl = (share[known] * (guide - log_p)[known]).sum().item() - math.log(held) if held > 0 else math.nan
            trusted = before is not None and abs(total - before[0]) < AGREE and abs(kl - before[1]) < AGREE
            before = total, kl
            if trusted:
                break
    # With a larger error `sampled` would not see that half of the mass, 0.7 nats, is missing.
    seen = error < 0.07 and abs(total - sampled) < max(0.02, 5 * error)
    trusted = trusted and seen and abs(held - 1) < 0.01
    return Posterior(axes, log_p, guide, total, sampled, error, kl if trusted else None)
