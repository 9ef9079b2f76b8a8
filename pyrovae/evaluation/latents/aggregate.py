"""The aggregate posterior q(z) = 1/N sum_i q(z | x_i) beside the prior, dimension by dimension."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal

from pyrovae.evaluation.elbo import data_at_once
from pyrovae.evaluation.latents.information import drawn, spread
from pyrovae.evaluation.latents.rates import class_of, moments, posterior_moments
from pyrovae.objectives.divergence import base
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import require_per_datum
from pyrovae.pairs.traces import draw, particles, sites
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.seeding import seeded
from pyrovae.storage.jsonable import Json

PRIOR_DRAWS = 2000
"""Draws of the prior where one site depends on another or on conditions: its mean is known to 2 % of its scale."""

PROBES = 32, 4
"""Data and draws by which a prior is seen to depend on its data."""

APART = 0.5
"""Nats of one dimension's gap from which it is named: a mean one deviation off, or a deviation 1.8 or 0.4 times that of
the prior."""

NAMED = 3
"""Dimensions that are named at most."""

SAME = 1e-4
"""Nats, in relation: what one prior may differ from datum to datum by rounding."""


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """Moments of one latent site, for each of its dimensions.

    Attributes:
        mean: of the aggregate posterior.
        deviation: of the aggregate posterior, by the law of total variance.
        prior_mean: of p(z), over the conditions of the data where it depends on them.
        prior_deviation: likewise.
        gap: KL divergence in nats between normals of these moments, aggregate posterior from prior.
        normal: whether the prior is one diagonal normal, whatever else is drawn and given. Then the sum of the gaps is
            at most KL(q(z) || p(z)): of all densities with these moments the normal has the most entropy. Of another
            prior (a mixture, a flow, that of a site below another) it may be more.
    """

    mean: list[float]
    deviation: list[float]
    prior_mean: list[float]
    prior_deviation: list[float]
    gap: list[float]
    normal: bool

    def summary(self) -> Json:
        """As JSON."""
        return dataclasses.asdict(self)


def aggregate(pair: Pair, batch: Sequence[Tensor], seed: int = 0, show: Progress | None = None) -> dict[str, Aggregate]:
    """Each latent site's aggregate posterior and prior; leaves weights, modes and generators as they were. `show` is
    told where memory runs out and smaller pieces are taken.

    Raises:
        PyrovaeError: where a site stands outside the plate "data".
    """
    device = device_of(pair)
    with seeded(seed, device):
        require_per_datum(pair, placed(pair, [tensor[:2] for tensor in batch]), "an aggregate posterior")
    found, prior = {}, prior_moments(pair, batch, seed, show)
    for name, (means, scales, noise) in posterior_moments(pair, batch, seed=seed, show=show).items():
        means, scales, noise = (tensor.to(precise(means.device)).flatten(1) for tensor in (means, scales, noise))
        # The mean of a few draws varies by its own noise, too: take that off.
        variance = (means.var(0, correction=0) - noise.mean(0)).clamp_min(0) + scales.square().mean(0)
        mean, scale = means.mean(0), variance.sqrt()
        p_mean, p_scale = prior[name].mean.flatten(), prior[name].deviation.flatten()
        gap = (p_scale / scale).log() + (variance + (mean - p_mean).square()) / (2 * p_scale.square()) - 0.5
        found[name] = Aggregate(
            mean=mean.tolist(),
            deviation=scale.tolist(),
            prior_mean=p_mean.tolist(),
            prior_deviation=p_scale.tolist(),
            gap=gap.tolist(),
            normal=prior[name].normal,
        )
    return found


def worst(found: Mapping[str, Aggregate]) -> tuple[str, ...]:
    """The dimensions that are more than `APART` from the prior, worst first, as text with their moments."""
    apart = [
        (gap, f"{name}[{i}] (mean {m:.2f}, deviation {s:.2f}; prior {p_m:.2f}, {p_s:.2f})")
        for name, each in found.items()
        for i, (gap, m, s, p_m, p_s) in enumerate(
            zip(each.gap, each.mean, each.deviation, each.prior_mean, each.prior_deviation, strict=True)
        )
        if gap > APART
    ]
    return tuple(text for _, text in sorted(apart, key=lambda pair: -pair[0])[:NAMED])


class PriorMoments(NamedTuple):
    """Mean and deviation of p(z), (*event), on the CPU, and whether it is one diagonal normal."""

    mean: Tensor
    deviation: Tensor
    normal: bool


def prior_moments(
    pair: Pair, batch: Sequence[Tensor], seed: int = 0, show: Progress | None = None
) -> dict[str, PriorMoments]:
    """Moments of the prior of each latent site.

    Over `PRIOR_DRAWS` draws of the model at least, under the conditions of at most so many of the data; exact where a
    site depends on nothing and its family knows its moments.
    """
    device, n = device_of(pair), min(first_dim(batch), PRIOR_DRAWS)
    K = math.ceil(PRIOR_DRAWS / n)
    chosen = spread(first_dim(batch), n)
    sums: dict[str, Tensor] = {}
    first: dict[str, Tensor] = {}
    normal: dict[str, bool] = {}
    with scoring(pair, seed):
        some = placed(pair, [tensor[chosen] for tensor in batch])

        def work(rows: slice) -> dict[str, Tensor]:
            part, totals = [tensor[rows] for tensor in some], {}
            for name, site in sites(draw(particles(pair.model, K), part), observed=False).items():
                mean, scale, _ = moments(site) or (site["value"], torch.zeros_like(site["value"]), None)
                classes = [] if class_of(site) is None else [mean.shape[-1]]
                every = (K, first_dim(part), *site["fn"].event_shape, *classes)
                mean, scale = (tensor.to(precise(device)).expand(every) for tensor in (mean, scale))
                both = torch.stack([mean, scale])
                one = first.setdefault(name, both[:, :1, :1])
                normal[name] = (
                    normal.get(name, True) and isinstance(base(site["fn"]), Normal) and bool((both == one).all())
                )
                totals[name] = torch.stack([(scale.square() + mean.square()).sum((0, 1)), mean.sum((0, 1))])
            return totals

        for _, here in memory.halved(n, max(1, data_at_once(pair, some) // K), work, device, show):
            for name, each in here.items():
                sums[name] = sums.get(name, 0) + each
    priors = {}
    for name, total in sums.items():
        square, mean = (total / (K * n)).cpu()
        priors[name] = PriorMoments(mean, (square - mean.square()).clamp_min(0).sqrt(), normal[name])
    return priors


def prior_depends_on_data(pair: Pair, batch: Sequence[Tensor], seed: int = 0) -> bool:
    """Whether p(z) is another from datum to datum, as p(z | y) is: the same latents, scored for several data."""
    data, K = PROBES
    chosen = spread(first_dim(batch), min(first_dim(batch), data))
    with scoring(pair, seed):
        some = placed(pair, [tensor[chosen] for tensor in batch])
        values = drawn(pair, [tensor[spread(len(chosen), K)] for tensor in some])
        at = {name: value.unsqueeze(1).expand(K, len(chosen), *value.shape[1:]) for name, value in values.items()}
        p = draw(particles(pair.model, K), some, at)
        p.compute_log_prob(lambda _, site: not site["is_observed"])
        found = [site["log_prob"].expand(K, len(chosen)) for site in sites(p, observed=False).values()]
    return any(bool(((each - each[:, :1]).abs() > SAME * (1 + each.abs())).any()) for each in found)
