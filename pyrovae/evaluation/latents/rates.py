"""What the latents are used for: rate for each site and dimension, active units, posterior means and scales."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Categorical, OneHotCategorical

from pyrovae.evaluation.elbo import data_at_once
from pyrovae.objectives.divergence import base
from pyrovae.objectives.enumeration import Expectation
from pyrovae.objectives.terms import closed_form, rate, rate_by_dim
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import require_per_datum
from pyrovae.pairs.traces import Site, draw, particles, sites, traces
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.seeding import seeded
from pyrovae.storage.jsonable import Json

ACTIVE = 0.01
"""A unit is active where Var over data of E_q[z | x] exceeds this (Burda, Grosse & Salakhutdinov 2016)."""

DRAWS = 64
"""Draws of z a datum where q has no mean in closed form."""


@dataclasses.dataclass(frozen=True)
class Diagnostics:
    """Over a set of data, in nats, means a datum.

    Attributes:
        rate: for each latent site, KL(q || p): in closed form where it is known, else one draw a datum; the mean over
            the values of sites that are summed out.
        rate_by_dim: for each site, the same for each dimension; None where p or q does not factorise.
        active_units: for each site, dimensions whose posterior mean varies over the data by more than `ACTIVE`; sites
            of classes are left out, as a class is no dimension.
        units: for each of these, its dimensions.
        classes_used: for each site of classes, how many of them are the most likely one of some datum.
        classes: for each of these, how many there are.
    """

    rate: dict[str, float]
    rate_by_dim: dict[str, list[float] | None]
    active_units: dict[str, int]
    units: dict[str, int]
    classes_used: dict[str, int] = dataclasses.field(default_factory=dict)
    classes: dict[str, int] = dataclasses.field(default_factory=dict)

    def summary(self) -> Json:
        """As JSON."""
        return dataclasses.asdict(self)


def diagnose(
    pair: Pair,
    batch: Sequence[Tensor],
    batch_size: int | None = None,
    seed: int = 0,
    show: Progress | None = None,
) -> Diagnostics:
    """Rates and active units of a pair on a batch; leaves weights, modes and random generators as they were.

    `batch_size` None is what fits the memory; where it does not, smaller pieces are taken, and `show` says so.

    Raises:
        PyrovaeError: where a latent site stands outside the plate "data".
    """
    size, n = batch_size or data_at_once(pair, batch), first_dim(batch)
    of_sites, of_dims, kinds = rates(pair, batch, size, seed, show)
    active, units, used, classes = dict[str, int](), dict[str, int](), dict[str, int](), dict[str, int]()
    for name, (mean, scale, noise) in posterior_moments(pair, batch, size, seed, show).items():
        if kinds[name]:
            used[name], classes[name] = len(mean.argmax(-1).unique()), mean.shape[-1]
            continue
        # The mean of a few draws varies by its own noise, too: take that off.
        variance = mean.var(0, correction=0) - noise.mean(0) if n > 1 else torch.zeros(mean.shape[1:])
        active[name], units[name] = int((variance > ACTIVE).sum()), scale.shape[1:].numel()
    return Diagnostics(of_sites, of_dims, active, units, used, classes)


class Rates(NamedTuple):
    """For each latent site, its rate, that of each dimension or None, and whether its values are classes."""

    of_sites: dict[str, float]
    of_dims: dict[str, list[float] | None]
    classes: dict[str, bool]


def rates(
    pair: Pair, batch: Sequence[Tensor], batch_size: int | None = None, seed: int = 0, show: Progress | None = None
) -> Rates:
    """What each latent site costs on a batch, see `Diagnostics`; arguments and errors are those of `diagnose`."""
    device, n = device_of(pair), first_dim(batch)
    with seeded(seed, device):
        require_per_datum(pair, placed(pair, [tensor[:2] for tensor in batch]), "a rate for each datum")
    size = batch_size or data_at_once(pair, batch)
    totals: dict[str, Tensor] = {}
    by_dim: dict[str, Tensor | None] = {}
    classes: dict[str, bool] = {}

    def work(rows: slice) -> dict[str, tuple[Tensor, Tensor | None]]:
        p, q = traces(pair, placed(pair, [tensor[rows] for tensor in batch]), enumerate=True)
        latent, prior, closed, found = sites(q, observed=False), sites(p), closed_form(p, q), {}
        expected = Expectation(q, 1)
        for name, site in latent.items():
            classes[name] = isinstance(base(site["fn"]), Categorical | OneHotCategorical)
            whole = expected(rate(site, prior[name], name in closed)).to(precise(device)).sum()
            dims = rate_by_dim(site, prior[name], name in closed)
            found[name] = whole, None if dims is None else expected(dims, 1).to(precise(device)).sum(0)
        return found

    with scoring(pair, seed):
        for _, found in memory.halved(n, size, work, device, show):
            for name, (whole, dims) in found.items():
                totals[name] = totals.get(name, 0) + whole
                before = by_dim.get(name, 0)
                by_dim[name] = None if dims is None or before is None else before + dims
    return Rates(
        {name: total.item() / n for name, total in totals.items()},
        {name: None if dims is None else (dims / n).tolist() for name, dims in by_dim.items()},
        classes,
    )


def posterior_moments(
    pair: Pair,
    batch: Sequence[Tensor],
    batch_size: int | None = None,
    seed: int = 0,
    show: Progress | None = None,
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """For each latent site: mean and scale of q for each datum, and the variance of that mean as an estimate.

    All are (N, *event), on the CPU; of a class (N, classes), those of its one-hot code, so that the mean is q. Where
    the family knows its moments and the site depends on no other latent, the last is 0; else they are taken over
    `DRAWS` draws of the latents.
    """
    device, found = device_of(pair), dict[str, list[tuple[Tensor, Tensor, Tensor]]]()

    def work(rows: slice) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        part = placed(pair, [tensor[rows] for tensor in batch])
        latent = sites(draw(pair.guide, part), observed=False)
        known = {name: moments(site) for name, site in latent.items()}
        if len(latent) > 1 or None in known.values():
            latent = sites(draw(particles(pair.guide, DRAWS), part), observed=False)
            known = {name: _over_draws(site) for name, site in latent.items()}
        return {name: tuple(moment.detach().cpu() for moment in these or ()) for name, these in known.items()}  # type: ignore[misc]

    with scoring(pair, seed):
        size = batch_size or data_at_once(pair, batch)
        for _, known in memory.halved(first_dim(batch), size, work, device, show):
            for name, these in known.items():
                found.setdefault(name, []).append(these)
    return {name: tuple(map(torch.cat, zip(*parts, strict=True))) for name, parts in found.items()}  # type: ignore[misc]


def moments(site: Site) -> tuple[Tensor, Tensor, Tensor] | None:
    """Mean, scale and 0 where the family knows them; of a class those of its one-hot code, with one more dim."""
    if (q := class_of(site)) is not None:
        return q.probs, (q.probs * (1 - q.probs)).sqrt(), torch.zeros_like(q.probs)
    try:
        mean, scale = site["fn"].mean, site["fn"].stddev
    except NotImplementedError:
        return None
    return mean, scale, torch.zeros_like(mean)


def class_of(site: Site) -> Categorical | None:
    """The distribution of a site whose values are classes; None where they are something else."""
    inner = base(site["fn"])
    return inner if isinstance(inner, Categorical) else None


def _over_draws(site: Site) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, scale and the variance of the mean over the first dim, that of the draws."""
    known = moments(site)
    if known is None:
        mean = site["value"].to(torch.get_default_dtype())
        within = torch.zeros_like(mean)
    else:
        mean, within = known[0], known[1].square()
    between = mean.var(0)
    return mean.mean(0), (within.mean(0) + between).sqrt(), between / len(mean)
