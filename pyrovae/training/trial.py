"""What is tried of a pair of the user's own before it trains."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pyrovae.data.dataset import SPLITS, Dataset, Split
from pyrovae.data.stored import Stored
from pyrovae.errors import PyrovaeError, first_line, option
from pyrovae.options import TrainConfig
from pyrovae.pairs.assumptions import FEW, broken
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import placed
from pyrovae.pairs.strays import require_observed, require_supported
from pyrovae.pairs.structure import refuse_missing, refuse_weighed, running, structure
from pyrovae.pairs.traces import traces
from pyrovae.runtime.ranks import world
from pyrovae.runtime.seeding import seeded
from pyrovae.training.order import batch_size

PART = 4096
"""Data that are read together; of images that must be decoded no more are looked at."""


def tried(pair: Pair, dataset: Dataset, config: TrainConfig, device: torch.device) -> list[str]:
    """What does not hold that the scores of a pair assume, each in a sentence; leaves everything as it was.

    Every datum is looked at once: whether it lies in the supports of the model.

    Raises:
        PyrovaeError: where a handler scales or masks a site, a value stands in Pyro's param store, a datum or what the
            guide draws lies outside a support, or a batch of one datum cannot be trained on and there is one.
    """
    with seeded(0, device):
        few = placed(pair, dataset.split("valid", pair.inputs, FEW))
        with running(pair, few):
            require_observed(pair, few, " of valid")
            found = structure(pair, few)
        refuse_missing(found)
        refuse_weighed(found)
        if found.outside or found.shapes or found.unnamed:
            return []  # the objective says whether and how it trains these
        if smallest(dataset, config) == 1:
            _require_one(pair, few)
        for split in SPLITS:
            start = 0
            for part in _parts(dataset, split, pair.inputs):
                require_supported(pair, placed(pair, part), f" of {split}", start)
                start += len(part[0])
        try:
            return broken(pair, few, found)
        except PyrovaeError as error:  # it trains by one draw, and has no log-likelihood
            return [str(error)]


def smallest(dataset: Dataset, config: TrainConfig) -> int:
    """Data of the smallest piece of a batch that one process takes at once."""
    n, size, ranks = dataset.size("train"), batch_size(dataset, config), world().size
    rows = {each for batch in (size, n % size or size) for each in (batch // ranks, -(-batch // ranks))}
    return min(min(most, each % most or most) for each in rows if (most := min(config.microbatch or each, each)))


def _require_one(pair: Pair, few: Sequence[Tensor]) -> None:
    """Batch normalization, and what else reads a whole batch in training, fails on one datum."""
    twin = copy.deepcopy(pair).train()
    try:
        with torch.no_grad(), unvalidated():
            traces(twin, [tensor[:1] for tensor in few])
    except ValueError as error:
        raise PyrovaeError(
            f"an epoch has a batch of one datum, or a piece of one, which the pair does not take "
            f"({first_line(error)}): take another {option('batch_size')} or {option('microbatch')}"
        ) from error


def _parts(dataset: Dataset, split: Split, inputs: tuple[str, ...]) -> Iterator[tuple[Tensor, ...]]:
    columns = dataset.columns[split]
    costly = any(isinstance(column, Stored) and column.costly for column in columns.values())
    for start in range(0, PART if costly else dataset.size(split), PART):
        rows = {name: column[start : start + PART] for name, column in columns.items()}
        yield dataset.batch(rows, inputs)
