"""Log-probabilities that do not fall below a floor, however unlikely a datum is, in double precision either."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pyro.distributions import ProjectedNormal
from pyro.distributions.torch_distribution import ExpandedDistribution, MaskedDistribution
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, OneHotCategorical

from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import dtype_of
from pyrovae.pairs.supports import family_of
from pyrovae.pairs.traces import sites, traces


def floored(pair: Pair, batch: Sequence[Tensor], K: int = 8) -> str:
    """Which datum stands at the floor of its distribution in the likeliest of K draws of the guide, in a sentence;
    empty where there is none, and in single precision, whose floor `assumptions.cancels` sees. Draws from torch's
    generator, in the mode that it finds."""
    if dtype_of(pair) is not torch.float64:
        return ""
    p, _ = traces(pair, batch, K)
    for name, site in sites(p, observed=True).items():
        stands = at_floor(site["fn"], site["value"])
        if stands is None:
            continue
        wanted = (K, first_dim(batch))
        best = site["log_prob"].expand(wanted).argmax(0, keepdim=True)
        bad = stands.expand(wanted).gather(0, best)[0]
        if bad.any():
            family = family_of(site["fn"])
            cure = "keep its concentration smaller" if family == "ProjectedNormal" else "give it logits, or bound them"
            least = math.log(torch.finfo(torch.float64).eps)
            return (
                f"site '{name}' scores {int(bad.sum())} of {len(bad)} data tried at the floor of {family}, which adds "
                f"no less than log(eps) = {least:.1f} nats however unlikely a number is: {cure}"
            )
    return ""


def at_floor(family: Distribution, value: Tensor) -> Tensor | None:
    """Whether a number of a value stands at the floor of its distribution, batch shape; None where it has none.

    torch clamps probabilities at the eps of their dtype before it takes logarithms; Pyro's ProjectedNormal the integral
    along the ray, which cancels away from its mean.
    """
    inner = family
    while isinstance(inner, Independent | ExpandedDistribution):
        inner = inner.base_dist
    one = inner.base_dist if isinstance(inner, MaskedDistribution) else inner
    one = one._categorical if isinstance(one, OneHotCategorical) else one
    if isinstance(one, ProjectedNormal):
        log_p, near = inner.log_prob(value) - _across(one, value), 1e-9
    elif isinstance(one, Bernoulli | Categorical) and one.__dict__.get("probs") is one._param:
        log_p, near = inner.log_prob(value), 1e-3
    else:
        return None
    found: Tensor = log_p <= math.log(torch.finfo(log_p.dtype).eps) + near
    covered = len(family.event_shape) - len(inner.event_shape)
    return found.flatten(-covered).any(-1) if covered else found


def _across(family: ProjectedNormal, value: Tensor) -> Tensor:
    """log density of a ProjectedNormal across the ray of a direction."""
    along = (family.concentration * value).sum(-1)
    away = family.concentration.square().sum(-1) - along.square()
    across: Tensor = -away / 2 - (value.shape[-1] - 1) / 2 * math.log(2 * math.pi)
    return across
