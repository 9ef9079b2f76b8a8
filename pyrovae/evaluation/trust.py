"""How far an importance-sampled log-likelihood may be trusted, in one sentence."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.evaluation.pareto import threshold

SHARE = 0.05
"""Of the data: so many may have a Pareto k above its threshold."""

BIAS = 0.1
"""Nats: the mean may lie so much too low."""


class Verdict(NamedTuple):
    """Whether a mean log-likelihood may be trusted, and why.

    Attributes:
        trusted: None where there are too few samples to say.
        sentence: why.
        above: share of the data whose Pareto k is above its threshold, among those where it is known.
        bias: nats by which the mean lies too low, estimated to first order: half the mean squared error.
    """

    trusted: bool | None
    sentence: str
    above: float | None
    bias: float | None


def verdict(standard_error: Tensor, pareto_k: Tensor, drawn: Tensor) -> Verdict:
    """Judges estimates by the tails of their weights.

    Args:
        standard_error: (N,) of each log-likelihood, nats.
        pareto_k: (N,) shape of the tail of its weights, NaN where it is not known.
        drawn: (N,) number of its weights.
    """
    if not standard_error.any() and (drawn == 1).all():
        return Verdict(True, "exact: nothing is drawn", 0.0, 0.0)
    known = ~pareto_k.isnan()
    if not known.all():
        few, lost = int(drawn[~known].min()), int((~known).sum())
        if few < 25:
            sentence = f"cannot be judged from {few} samples a datum: take 25 or more, better 1,000"
            return Verdict(None, sentence, None, None)
        sentence = f"is not to be trusted: {lost} of {len(known)} data have weights that are not finite"
        return Verdict(False, sentence, None, None)
    n = len(pareto_k)
    limits = torch.tensor([threshold(int(count)) for count in drawn], dtype=pareto_k.dtype)
    above = int((pareto_k > limits).sum())
    bias = standard_error.square().mean().item() / 2
    tails = f"the Pareto k of {above} of {n} data is above {limits.min():.2f}"
    if above == 0:
        tails = f"the Pareto k of all {n} data is at most {limits.min():.2f}"
    if above <= SHARE * n and bias <= BIAS:
        sentence = f"may be trusted: {tails}, and the mean lies about {bias:.2g} nats too low"
        return Verdict(True, sentence, above / n, bias)
    if above <= SHARE * n:
        sentence = f"lies about {bias:.2g} nats too low, by the spread of the weights: take more samples (--target-se)"
        return Verdict(False, sentence, above / n, bias)
    sentence = (
        f"is a lower bound and not a value: {tails}, so a few weights decide and the standard error says too little; "
        f"take --proposal refit, more samples, or --method ais"
    )
    return Verdict(False, sentence, above / n, bias)
