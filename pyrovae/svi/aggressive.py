"""Steps of the guide alone before each step of the model, while the guide lags behind it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import apart
from pyrovae.runtime.turns import between
from pyrovae.svi.optimizer import Optimizer
from pyrovae.svi.pieces import Figures, Rows, rows_in
from pyrovae.svi.step import Step

WINDOW = 10
"""Batches over which the loss is averaged before it is asked whether it still falls."""


class Drawn(NamedTuple):
    """A batch of the inner loop.

    Attributes:
        rows: stored rows.
        fraction: of all data that these rows are.
        units: what the loss is a mean over: the words of sentences, whose number is not that of the data, or the data.
    """

    rows: Rows
    fraction: Tensor
    units: int


class Aggressive:
    """A step in which the guide moves first: up to `most` steps of the guide, then one of the model.

    The guide's steps go over the batch of the model's step, then over other batches, until the loss averaged over
    `WINDOW` of them no longer falls (without free bits or nats); the model's step moves no parameter of the guide. Both
    are steps of one optimizer: `optimizer.part`.

    Junxian He, Daniel Spokoyny, Graham Neubig, Taylor Berg-Kirkpatrick: Lagging Inference Networks and Posterior
    Collapse in Variational Autoencoders. ICLR 2019.

    Args:
        pair: whose guide shares no parameter with its model.
        optimizer: of all parameters, with those of the guide apart.
        step_of: makes the step of an optimizer.
        most: steps of the guide before one of the model, at most.

    Raises:
        UsageError: see `apart`.
    """

    def __init__(self, pair: Pair, optimizer: Optimizer, step_of: Callable[[Optimizer], Step], most: int) -> None:
        model, guide = apart(pair)
        self.guide, self.model, self.most = step_of(optimizer.part(guide)), step_of(optimizer.part(model)), most

    def lower(self, examples: Sequence[Rows], calls: int, compile: bool | None) -> None:
        """See `pyrovae.svi.Step.lower`; `calls` are those of the model's step."""
        self.guide.lower(examples, calls * min(self.most, WINDOW), compile)
        self.model.lower(examples, calls, compile)

    def __call__(self, first: Drawn, others: Iterable[Drawn], lr: Tensor, kl_weight: Tensor) -> tuple[Figures, int]:
        """The figures of the model's step, and how many steps of the guide there were.

        Args:
            first: the batch of the model's step, which is the first of the guide's, too.
            others: batches without an end.
            lr: learning rate.
            kl_weight: see `pyrovae.objectives.elbo.ELBO`.
        """
        count, before, sums = 0, math.inf, list[Tensor]()
        for batch in itertools.islice(itertools.chain([first], others), self.most):
            between()
            figures = self.guide(batch.rows, lr, kl_weight, batch.fraction)
            # Of a step that was skipped there is neither a loss nor a datum.
            each = batch.units / rows_in(batch.rows)
            sums.append(torch.stack([(kl_weight - 1) * figures.rate - figures.elbo, each * figures.data]))
            count += 1
            if count % WINDOW == 0:
                loss, units = torch.stack(sums).sum(0).tolist()  # the one sync with the device
                sums.clear()
                if not (mean := loss / max(units, 1)) < before:
                    break
                before = mean
        return self.model(first.rows, lr, kl_weight, first.fraction), count


def lags(metrics: Sequence[Mapping[str, float]]) -> bool:
    """Whether the guide still lags: until the mutual information on held-out data, told by each epoch as
    `mutual_information` while it does, has not risen."""
    seen = [each["mutual_information"] for each in metrics if "mutual_information" in each]
    return len(seen) == len(metrics) and (len(seen) < 2 or seen[-1] > seen[-2])
