"""As many importance samples of each datum as an error of the mean asks for."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pyrovae.evaluation.importance.running import Weights
from pyrovae.evaluation.importance.sampler import Sampler
from pyrovae.evaluation.importance.trust import BIAS, SHARE, clears, in_doubt, meets


def grown(sampler: Sampler, samples: int, target: float, most: int) -> Weights:
    """Weights for a mean whose error and bias are at most `target` nats and may be trusted, or `most` of a datum.

    K starts at `samples` and doubles for the data that need it, no further where more would bring no trust. The weights
    by which each K was found are then drawn anew: they stopped a datum where no large weight had come yet, and lie too
    low.
    """
    collected = sampler.collected(most)
    everything = torch.arange(len(collected.drawn))
    sampler.draw(collected, everything, samples, "log-likelihood")
    for rows, count in growing(collected, target, most):
        sampler.draw(collected, rows, count, f"{int(collected.drawn[rows[0]]) + count} samples")
    for rows, count in clearing(collected, most):
        sampler.draw(collected, rows, count, f"{int(collected.drawn[rows[0]]) + count} samples")
    if collected.drawn.max() == samples:
        return collected
    needed, collected = collected.drawn, sampler.collected(most)
    for count in needed.unique().tolist():
        sampler.draw(collected, (needed == count).nonzero().flatten(), count, f"{count} samples anew")
    # All alike: no datum is stopped by its own weights.
    while (collected.drawn < most).any() and not (reached(collected, target) and not unsettled(collected, most).any()):
        for rows, count in doubled(collected, collected.drawn < most, most):
            sampler.draw(collected, rows, count, f"{int(collected.drawn[rows[0]]) + count} samples")
    return collected


def growing(collected: Weights, target: float, most: int) -> Iterator[tuple[Tensor, int]]:
    """The data that need more samples for a mean that is as certain as `target`, and how many; all at most `most`."""
    n = len(collected.drawn)
    while not reached(collected, target):
        need = (collected.squared_error() > min(2 * target, 2 * BIAS, n * target**2)) & (collected.drawn < most)
        if not need.any():
            return
        yield from doubled(collected, need, most)


def clearing(collected: Weights, most: int) -> Iterator[tuple[Tensor, int]]:
    """The data in doubt that more samples would clear, while too many are for the mean to be trusted, and how many
    more; at most `most`."""
    while (which := unsettled(collected, most)).any():
        yield from doubled(collected, which, most)


def unsettled(collected: Weights, most: int) -> Tensor:
    """(N,) of which data more samples would make the mean one that is trusted: none where it is, or would not be."""
    found, drawn = collected.estimates(), collected.drawn.cpu()
    unknown, doubtful = found.pareto_k.isnan(), in_doubt(found.pareto_k, found.ess, drawn)
    cleared = clears(found.pareto_k, found.ess, drawn, most)
    share = SHARE * len(drawn)
    trusted = not unknown.any() and doubtful.sum() <= share
    hopeless = (unknown & ~cleared).any() or (doubtful & ~cleared).sum() > share
    return (cleared & (not (trusted or hopeless))).to(collected.drawn.device)


def reached(collected: Weights, target: float) -> bool:
    """Whether error and bias of the mean are at most `target`, by the weights so far."""
    return meets(collected.squared_error(), target)


def doubled(collected: Weights, which: Tensor, most: int) -> Iterator[tuple[Tensor, int]]:
    """Rows of the same number of samples, and how many more make twice as many, or `most`."""
    before = collected.drawn.clone()  # it grows between the yields
    for count in before[which].unique().tolist():
        yield (which & (before == count)).nonzero().flatten(), min(count, most - count)
