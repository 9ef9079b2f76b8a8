"""How far an importance-sampled log-likelihood may be trusted, in one sentence."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.errors import option
from pyrovae.evaluation.importance.pareto import threshold, unmet

SHARE = 0.05
"""Of the data: so many may be in doubt."""

FEW, SMALL = 100, 0.1
"""Effective samples, and their share in all: where both are less and the Pareto k is above its threshold, a few weights
decide."""

MOST = 0.5
"""Of the data: in so many the Pareto k may be above its threshold where there are enough effective samples."""

LOST = 0.01
"""Nats by which data in doubt may lower the mean together: one that is missed by hundreds is enough."""

BIAS = 0.1
"""Nats: the mean may lie so much too low."""


class Verdict(NamedTuple):
    """Whether a mean log-likelihood may be trusted, and why.

    Attributes:
        trusted: None where there are too few samples to say.
        sentence: why.
        above: share of the data whose Pareto k is above its threshold.
        doubtful: share of the data that have few effective samples, besides.
        bias: nats by which the mean lies too low, estimated to first order: half the mean squared error.
    """

    trusted: bool | None
    sentence: str
    above: float | None
    doubtful: float | None
    bias: float | None


def _others(proposal: str) -> str:
    """What may do better than a proposal."""
    widened, refit = option("proposal", "widened"), option("proposal", "refit")
    more = f"more samples, or {option('method', 'ais', python='ais')}"
    others = {
        "guide": f"take {widened} or refit, {more}",
        "widened": f"take {refit}, another {option('wider')}, {more}",
        "refit": f"take {widened}, {more}",
    }
    return others[proposal]


def verdict(
    standard_error: Tensor,
    ess: Tensor,
    pareto_k: Tensor,
    drawn: Tensor,
    proposal: str = "guide",
    missed: float | None = None,
    broken: Sequence[str] = (),
) -> Verdict:
    """Judges estimates by the tails of their weights.

    Args:
        standard_error: (N,) of each log-likelihood, nats.
        ess: (N,) effective number of its weights.
        pareto_k: (N,) shape of the tail of its weights, NaN where it is not known.
        drawn: (N,) number of its weights.
        proposal: what was drawn from: others are advised.
        missed: the error that was asked for and not reached, nats; None where it was, or none was asked for.
        broken: assumptions that do not hold, each in a sentence.
    """
    if broken:
        return Verdict(False, f"is not to be trusted: {broken[0]}", None, None, None)
    if not standard_error.any() and (drawn == 1).all():
        return Verdict(True, "exact: nothing is drawn", 0.0, 0.0, 0.0)
    n, known = len(pareto_k), ~pareto_k.isnan()
    if not known.all():
        few, lost = int(drawn[~known].min()), int((~known).sum())
        if few < 25:
            sentence = f"cannot be judged from {few} samples a datum: take 25 or more, better 1,000"
            return Verdict(None, sentence, None, None, None)
        sentence = f"is not to be trusted: {lost} of {n} data have weights that are not finite"
        return Verdict(False, sentence, None, None, None)
    limits = torch.tensor([threshold(int(count)) for count in drawn], dtype=pareto_k.dtype)
    above, doubtful = pareto_k > limits, (pareto_k > limits) & (ess < (SMALL * drawn).clamp_max(FEW))
    bias = standard_error.square().mean().item() / 2
    # Where data have different numbers of weights they have different thresholds.
    limit = f"{limits.min():.2f}" if limits.min() == limits.max() else f"{limits.min():.2f} to {limits.max():.2f}"
    few, trusted = int(doubtful.sum()), False
    heavy = int((above & pareto_k.isfinite()).sum())  # ties, of which k says nothing, are judged by their number
    missing = unmet(pareto_k[doubtful], drawn[doubtful]).sum().item() / n
    if few > SHARE * n:
        sentence = (
            f"is a lower bound and not a value: a few weights decide for {few} of {n} data (Pareto k above {limit} and "
            f"few effective samples), so the standard error says too little; {_others(proposal)}"
        )
    elif heavy > MOST * n:
        # Of one datum k is known to 0.15 or so, and effective samples may be many where a narrow guide meets little.
        sentence = (
            f"is a lower bound and not a value: the weights of {heavy} of {n} data have a heavy tail "
            f"(Pareto k above {limit}), as those of a guide narrower than the posterior; {_others(proposal)}"
        )
    elif missing > LOST:
        sentence = (
            f"is a lower bound and not a value: a few weights decide for {few} of {n} data (Pareto k up to "
            f"{pareto_k[doubtful].max():.2g} and few effective samples), which alone lower the mean by {missing:.2g} "
            f"nats or more; {_others(proposal)}"
        )
    elif bias > BIAS:
        more = f"take more samples ({option('target_se')})"
        sentence = f"lies about {bias:.2g} nats too low, by the spread of the weights: {more}"
    else:
        trusted, tails = True, f"the Pareto k of all {n} data is at most {limits.max():.2f}"
        if above.any():
            tails = (
                f"the Pareto k of {int(above.sum())} of {n} data is above {limit}, with few effective samples for "
                f"{few} of them"
            )
        sentence = f"may be trusted: {tails}, and the mean lies about {bias:.2g} nats too low"
    if missed is not None:
        most = int(drawn.max())
        sentence += f" (error and bias of {missed:g} nats, as asked for, were not reached with {most} samples)"
    return Verdict(trusted, sentence, above.double().mean().item(), doubtful.double().mean().item(), bias)
