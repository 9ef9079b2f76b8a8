"""How far an importance-sampled log-likelihood may be trusted, in one sentence."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.errors import option
from pyrovae.evaluation import assumed
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

LEAST, STEADY = 25, 1000
"""Samples from which the tail of the weights is known, and from which its k is steady enough to give a datum up."""


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


def _others(proposal: str, more: bool) -> str:
    """What may do better than a proposal: other commands print this, too, so that it names the one that has them."""
    widened, refit = (option("proposal", value, command="loglik") for value in ("widened", "refit"))
    ais = option("method", "ais", python="ais", command="loglik")
    others = {
        "guide": [f"{widened} or {refit}"],
        "widened": [refit, f"another {option('wider', command='loglik')}"],
        "refit": [widened],
    }
    return "take " + ", ".join([*others[proposal], *(["more samples"] if more else [])]) + f", or {ais}"


def above_threshold(pareto_k: Tensor, drawn: Tensor) -> Tensor:
    """(N,) which tails are too heavy for their number of weights."""
    return pareto_k > thresholds(drawn, pareto_k.dtype)


def thresholds(drawn: Tensor, dtype: torch.dtype) -> Tensor:
    """(N,) of k, for so many weights each."""
    counts, at = drawn.cpu().unique(return_inverse=True)
    return torch.tensor([threshold(int(count)) for count in counts], dtype=dtype)[at]


def in_doubt(pareto_k: Tensor, ess: Tensor, drawn: Tensor) -> Tensor:
    """(N,) of which data a few weights decide the estimate."""
    return above_threshold(pareto_k, drawn) & (ess < (SMALL * drawn).clamp_max(FEW))


def clears(pareto_k: Tensor, ess: Tensor, drawn: Tensor, most: int) -> Tensor:
    """(N,) of which data in doubt more samples, `most` at most, would end it, as far as their k is right.

    The threshold of k rises with K, to 0.7. Where a tail has 1 / k moments, 1/2 < k < 1, the effective number of K
    weights grows as K^(2 - 2 k), so that FEW of them need K (FEW / ess)^(1 / (2 - 2 k)). Where k is not known yet for
    want of samples, more of them tell; where it is 1 or more none help. Below STEADY samples no datum is given up.
    """
    unknown = pareto_k.isnan() & (drawn < LEAST) & (most >= LEAST)
    slower = (2 - 2 * pareto_k.clamp(0.5, 1.0)).clamp_min(1e-9)
    needed = drawn * (FEW / ess).clamp_min(1.0) ** (1 / slower)
    soon = (pareto_k <= threshold(most)) | (needed <= most) | (drawn < STEADY)
    return (in_doubt(pareto_k, ess, drawn) & soon | unknown) & (drawn < most)


def verdict(
    standard_error: Tensor,
    ess: Tensor,
    pareto_k: Tensor,
    drawn: Tensor,
    proposal: str = "guide",
    missed: float | None = None,
    broken: Sequence[str] = (),
    most: int | None = None,
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
        most: the K up to which it was tried to reach that error; None where none was asked for.
    """
    if against := assumed.verdict(broken):
        return Verdict(False, against, None, None, None)
    if not standard_error.any() and (drawn == 1).all():
        return Verdict(True, "exact: nothing is drawn", 0.0, 0.0, 0.0)
    n, known = len(pareto_k), ~pareto_k.isnan()
    if not known.all():
        few, lost = int(drawn[~known].min()), int((~known).sum())
        if few < LEAST:
            sentence = f"cannot be judged from {few} samples a datum: take 25 or more, better 1,000"
            return Verdict(None, sentence, None, None, None)
        sentence = f"is not to be trusted: {lost} of {n} data have weights that are not finite"
        return Verdict(False, sentence, None, None, None)
    limits = thresholds(drawn, pareto_k.dtype)
    above, doubtful = above_threshold(pareto_k, drawn), in_doubt(pareto_k, ess, drawn)
    bias = standard_error.square().mean().item() / 2
    # Where data have different numbers of weights they have different thresholds.
    limit = f"{limits.min():.2f}" if limits.min() == limits.max() else f"{limits.min():.2f} to {limits.max():.2f}"
    few, trusted = int(doubtful.sum()), False
    hopeless = missed is not None and most is not None and int(drawn.max()) < most
    heavy = int((above & pareto_k.isfinite()).sum())  # ties, of which k says nothing, are judged by their number
    missing = unmet(pareto_k[doubtful], drawn[doubtful]).sum().item() / n
    if few > SHARE * n:
        sentence = (
            f"is a lower bound and not a value: a few weights decide for {few} of {n} data (Pareto k above {limit} and "
            f"few effective samples), so the standard error says too little; {_others(proposal, not hopeless)}"
        )
    elif heavy > MOST * n:
        # Of one datum k is known to 0.15 or so, and effective samples may be many where a narrow guide meets little.
        sentence = (
            f"is a lower bound and not a value: the weights of {heavy} of {n} data have a heavy tail "
            f"(Pareto k above {limit}), as those of a guide narrower than the posterior; "
            f"{_others(proposal, not hopeless)}"
        )
    elif missing > LOST:
        sentence = (
            f"is a lower bound and not a value: a few weights decide for {few} of {n} data (Pareto k up to "
            f"{pareto_k[doubtful].max():.2g} and few effective samples), which alone lower the mean by {missing:.2g} "
            f"nats or more; {_others(proposal, not hopeless)}"
        )
    elif bias > BIAS:
        more = f"take more samples ({option('target_se', command='loglik')})"
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
        sentence += f" ({_missed(missed, standard_error, int(drawn.max()), most if hopeless else None)})"
    return Verdict(trusted, sentence, above.double().mean().item(), doubtful.double().mean().item(), bias)


def meets(square: Tensor, target: float) -> bool:
    """Whether error and bias of a mean are at most `target` nats, the bias at most what a trusted mean has; data
    without a finite estimate have no say. `square` are the squared errors of each datum, (N,)."""
    square = torch.where(square.isfinite(), square, 0.0)
    # By the delta method a mean of n estimates has this error, and each lies half its variance too low.
    return bool(square.sum().sqrt() / len(square) <= target and square.mean() / 2 <= min(target, BIAS))


def _missed(target: float, standard_error: Tensor, drawn: int, most: int | None) -> str:
    """Why an error that was asked for was not reached, with `drawn` samples, and why no more were taken up to `most`;
    None where as many were taken as were allowed."""
    if not meets(standard_error.square(), target):
        return f"error and bias of {target:g} nats, as asked for, were not reached with {drawn} samples"
    why = "" if most is None else f", and by their tails more samples, up to {most}, would not change that"
    return (
        f"error and bias of {target:g} nats, as asked for, were not reached: with {drawn} samples they look that "
        f"small, and these weights say too little{why}"
    )
