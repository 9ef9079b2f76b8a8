"""How many data a step takes, how many epochs there are, and in which order the data come."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyrovae.data.dataset import Dataset
from pyrovae.errors import UsageError, option
from pyrovae.options import TrainConfig
from pyrovae.runtime.ranks import world

STEPS = 3000
"""Steps of a fit whose epochs were not given."""

BATCH = 128
"""Data a step where the batch size was not given."""

POOL = 20
"""Batches of sentences that are sorted by length together."""


def batch_size(data: Dataset, config: TrainConfig) -> int:
    """Data a step; raises UsageError where more are asked for than there are."""
    n = data.size("train")
    # A default of the variant is no demand.
    if config.batch_size is not None and config.batch_size > n and "batch_size" in config.model_fields_set:
        raise UsageError(f"batch size {config.batch_size} is larger than the {n} training data: set it to {n} or less")
    return min(config.batch_size or BATCH, n)


def require_one_each(data: Dataset, config: TrainConfig) -> None:
    """Raises UsageError where a batch, or the data that are held out, have less than a datum for each process."""
    processes, size = world().size, batch_size(data, config)
    if size < processes:
        fewer = data.size("train") < processes
        cure = "start fewer processes" if fewer else f"give {option('batch_size', processes)} or more"
        raise UsageError(f"{processes} processes train on batches of {size} data, at least one each is needed: {cure}")
    if (held_out := data.size("valid")) < processes:
        raise UsageError(
            f"{processes} processes score {held_out} held-out data, at least one each is needed: start fewer"
        )


def epochs(data: Dataset, config: TrainConfig) -> int:
    """Passes over the data: as given, or about `STEPS` steps and at least ten."""
    return config.epochs or max(10, math.ceil(STEPS * batch_size(data, config) / data.size("train")))


def shuffled(
    n: int, size: int, lengths: Tensor | None = None, generator: torch.Generator | None = None
) -> list[Tensor]:
    """The rows 0..n-1 in a fresh order, in pieces of `size`, one of them short; on the CPU.

    With `lengths`, each piece holds rows of similar length, so that little of a batch is padding: the order is cut into
    pools of `POOL` pieces, each pool is sorted, and its pieces come in a fresh order.

    Args:
        n: how many rows there are.
        size: rows a piece.
        lengths: of each row, (N,), on the CPU.
        generator: of the order, on the CPU; None is torch's own.
    """
    order = torch.randperm(n, generator=generator)
    if lengths is None:
        return list(order.split(size))
    pools = [pool[lengths[pool].argsort(stable=True)] for pool in order.split(size * POOL)]
    pieces = [piece for pool in pools for piece in pool.split(size)]
    return [pieces[i] for i in torch.randperm(len(pieces), generator=generator).tolist()]


def order_of(seed: int) -> torch.Generator:
    """The generator of the order of the data, which nothing else draws from: two guides with other weights and other
    noise see the same minibatches. It lies on the CPU, so that they are the same on every device."""
    return torch.Generator().manual_seed(seed + 2**31)  # not the numbers that the weights come from
