"""As many importance samples of each datum as an error of the mean asks for."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pyrovae.evaluation.importance.running import Weights
from pyrovae.evaluation.importance.sampler import Sampler


def grown(sampler: Sampler, samples: int, target: float, most: int) -> Weights:
    """Weights for a mean whose error and bias are at most `target` nats, or `most` of a datum.

    K starts at `samples` and doubles for the data that need it. The weights by which each K was found are then drawn
    anew: they stopped a datum where no large weight had come yet, and lie too low.
    """
    collected = sampler.collected(most)
    everything = torch.arange(len(collected.drawn))
    sampler.draw(collected, everything, samples, "log-likelihood")
    for rows, count in growing(collected, target, most):
        sampler.draw(collected, rows, count, f"{int(collected.drawn[rows[0]]) + count} samples")
    if collected.drawn.max() == samples:
        return collected
    needed, collected = collected.drawn, sampler.collected(most)
    for count in needed.unique().tolist():
        sampler.draw(collected, (needed == count).nonzero().flatten(), count, f"{count} samples anew")
    # All alike: no datum is stopped by its own weights.
    while not reached(collected, target) and (collected.drawn < most).any():
        for rows, count in doubled(collected, collected.drawn < most, most):
            sampler.draw(collected, rows, count, f"{int(collected.drawn[rows[0]]) + count} samples")
    return collected


def growing(collected: Weights, target: float, most: int) -> Iterator[tuple[Tensor, int]]:
    """The data that need more samples for a mean that is as certain as `target`, and how many; all at most `most`."""
    n = len(collected.drawn)
    while not reached(collected, target):
        need = (collected.squared_error() > min(2 * target, n * target**2)) & (collected.drawn < most)
        if not need.any():
            return
        yield from doubled(collected, need, most)


def reached(collected: Weights, target: float) -> bool:
    """Whether error and bias of the mean are at most `target`; data without a finite estimate have no say."""
    square = collected.squared_error()
    square = torch.where(square.isfinite(), square, 0.0)
    # By the delta method a mean of n estimates has this error, and each lies half its variance too low.
    return bool(square.sum().sqrt() / len(square) <= target and square.mean() / 2 <= target)


def doubled(collected: Weights, which: Tensor, most: int) -> Iterator[tuple[Tensor, int]]:
    """Rows of the same number of samples, and how many more make twice as many, or `most`."""
    before = collected.drawn.clone()  # it grows between the yields
    for count in before[which].unique().tolist():
        yield (which & (before == count)).nonzero().flatten(), min(count, most - count)
