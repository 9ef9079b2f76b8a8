"""log p(x) of the simplest model of a field: its dims independent, with mean and deviation of the training data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from pyro.distributions.torch_distribution import MaskedDistribution
from torch import Tensor
from torch.distributions import Distribution, Independent

from pyrovae.data.dataset import Dataset
from pyrovae.data.field import Field
from pyrovae.likelihoods.normal import SMALLEST
from pyrovae.nets.units import Standard
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.supports import support
from pyrovae.pairs.traces import draw, sites

CHUNK = 4096
"""Data that are scored together."""


class Baseline(NamedTuple):
    """What a model of x has to be better than.

    Attributes:
        name: `independent Gaussian` or `independent Bernoulli`.
        log_likelihood: mean over the data, nats a datum.
    """

    name: str
    log_likelihood: float


def baseline(pair: Pair, batch: Sequence[Tensor], data: Dataset) -> Baseline | None:
    """Of the data of a batch, in closed form; a condition of the model is not used.

    Args:
        pair: that is to be compared with it.
        batch: of its inputs, first dim the data.
        data: with the moments of the training data.

    Returns:
        None where there is nothing to compare: the model generates more or other than x, scores a part of it, or not by
        a probability of bits or a density of numbers.
    """
    field = data.fields.get("x")
    if field is None or field.mean is None or not _comparable(pair, batch, field):
        return None
    x = batch[pair.inputs.index("x")]
    if field.kind == "binary":
        return Baseline("independent Bernoulli", _mean(x, _bernoulli(field, data.size("train"))))
    return Baseline("independent Gaussian", _mean(x, _gaussian(field)))


def _comparable(pair: Pair, batch: Sequence[Tensor], field: Field) -> bool:
    few = [tensor[:2] for tensor in batch]
    with scoring(pair, 0):
        observed: Mapping[str, dict[str, object]] = sites(draw(pair.model, few), observed=True)
    if list(observed) != ["x"] or field.kind not in ("binary", "unit", "real"):
        return False
    x, fn = observed["x"]["value"], observed["x"]["fn"]
    assert isinstance(x, Tensor) and isinstance(fn, Distribution)
    if not torch.equal(x, few[pair.inputs.index("x")]) or _masks(fn):
        return False
    return bool(support(fn).is_discrete) == (field.kind == "binary")


def _masks(fn: Distribution) -> bool:
    while isinstance(fn, Independent):
        fn = fn.base_dist
    return isinstance(fn, MaskedDistribution)


def _gaussian(field: Field) -> torch.distributions.Normal:
    """A deviation a column, 1 where it is constant; of images, and whatever is no vector, one for all, as the default
    likelihood has: that of a pixel that is constant is unbounded, and every model would be worse."""
    assert field.mean is not None and field.deviation is not None
    mean, deviation = field.mean.double(), field.deviation.double()
    if len(field.shape) == 1:
        return torch.distributions.Normal(mean, Standard(field).scale.double())
    one = deviation.square().mean().sqrt().clamp(min=SMALLEST)
    return torch.distributions.Normal(mean, one.expand_as(mean))


def _bernoulli(field: Field, n: int) -> torch.distributions.Bernoulli:
    """Half an observation of each value is added to the n data, so that a test bit never seen has a probability."""
    assert field.mean is not None
    return torch.distributions.Bernoulli((n * field.mean.double() + 0.5) / (n + 1))


def _mean(x: Tensor, p: Distribution) -> float:
    scores = (p.log_prob(part.cpu().double()).sum() for part in x.split(CHUNK))
    return math.fsum(float(score) for score in scores) / len(x)
