"""What each step is fed with: rows of the training data, a learning rate and a weight of the KL."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.data import stream
from pyrovae.data.dataset import Columns, Dataset
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import dtype_of, placed
from pyrovae.runtime.ranks import noise_of, world
from pyrovae.svi import kl_weight, learning_rate
from pyrovae.svi.aggressive import Drawn
from pyrovae.svi.pieces import Batch
from pyrovae.training.order import batch_size, epochs, order_of, shuffled


class Turn(NamedTuple):
    """What one step gets.

    Attributes:
        batch: the rows of this process.
        total: data in the batch of all processes together.
        lr: learning rate, on the device.
        kl_weight: see `pyrovae.ELBO`, on the device.
    """

    batch: Drawn
    total: int
    lr: Tensor
    kl_weight: Tensor


class Feed:
    """The training data of a fit, cut into the batches of its steps.

    The order follows from `config.seed`, the size of the data and that of a batch alone; each process takes its rows
    of every batch.

    Attributes:
        size: data in a batch.
        epochs: how many there are.
        n: how many data there are.
        steps: of an epoch.
        order: the generator of the order.
        drawn_from: the state of `order` at the beginning of the epoch that was drawn last.
        last: learning rate and weight of the KL of the last step of that epoch.
    """

    def __init__(self, pair: Pair, data: Dataset, config: TrainConfig, device: torch.device) -> None:
        self.pair, self.inputs, self.data, self.config, self.device = pair, pair.inputs, data, config, device
        self.double, (self.rank, self.ranks) = dtype_of(pair) is not torch.float32, world()
        self.size, self.epochs, self.n = batch_size(data, config), epochs(data, config), data.size("train")
        self.steps = math.ceil(self.n / self.size)
        read = data.read_by(pair.inputs)
        stored = {name: column for name, column in data.columns["train"].items() if name in read}
        self.columns = stream.place(stored, device, data.workers)
        self.lengths, self.order = data.lengths("train"), order_of(config.seed)
        self.drawn_from = self.order.get_state()
        self.last = (0.0, 0.0)
        self.pieces: Sequence[Tensor] = ()

    def batch_of(self, rows: Columns) -> Batch:
        """The tensors that the pair takes, of stored rows; binarization is drawn here."""
        batch = self.data.batch(rows, self.inputs)
        return placed(self.pair, batch) if self.double else batch

    def take(self, rows: Tensor) -> Columns:
        """Stored rows by their numbers, which stand on the device."""
        return stream.take(self.columns, rows)

    def first(self, count: int) -> Columns:
        """The first rows of the data, at most so many."""
        return self.take(torch.arange(min(count, self.n), device=self.device))

    def examples(self) -> list[Columns]:
        """A few batches of this process, of the first rows."""
        return examples(self.columns, -(-(self.size - self.rank) // self.ranks))

    def in_order(self) -> Iterator[Columns]:
        """All data, a batch at a time, as they are stored."""
        for rows in torch.arange(self.n, device=self.device).split(self.size):
            yield self.take(rows)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Turn]:
        """The steps of an epoch, from the one after the first `skip` on; none where that were all.

        Args:
            number: of the epoch, from 0 on.
            skip: steps that were done already.
        """
        plan = self._plan(number)
        self.drawn_from, self.last = self.order.get_state(), plan[-1]
        self.pieces = shuffled(self.n, self.size, self.lengths, self.order)
        whole = self.pieces[skip:]
        return self._turns(whole, plan[skip:]) if whole else iter(())

    def _turns(self, whole: Sequence[Tensor], plan: Sequence[tuple[float, float]]) -> Iterator[Turn]:
        mine = [piece[self.rank :: self.ranks] for piece in whole]
        shares = {len(piece): torch.full((), len(piece) / self.n, device=self.device) for piece in mine}
        rows_of = torch.cat(mine).to(self.device).split([len(piece) for piece in mine])
        batches = stream.batches(self.columns, rows_of)
        # The one copy of an epoch to the device.
        rates, weights = torch.tensor(plan, device=self.device).unbind(1)
        for rows, own, piece, rate, weight in zip(batches, mine, whole, rates, weights, strict=True):
            yield Turn(Drawn(rows, shares[len(own)], self._units(piece)), len(piece), rate, weight)

    def _plan(self, number: int) -> list[tuple[float, float]]:
        """Learning rate and weight of the KL of each step of an epoch."""
        total, config = self.steps * self.epochs, self.config
        warmup, cycle = round(config.kl_warmup * self.steps), math.ceil(total / config.kl_cycles)
        return [
            (
                learning_rate(i, total, config.lr, config.schedule),
                kl_weight(i, warmup, config.beta, cycle, config.kl_start),
            )
            for i in range(number * self.steps, (number + 1) * self.steps)
        ]

    def at_random(self, step: int) -> Iterator[Drawn]:
        """Batches of the epoch, drawn at random without an end; they follow from seed and step."""
        generator = torch.Generator().manual_seed(noise_of(self.config.seed, 0, step))
        while True:
            piece = self.pieces[int(torch.randint(len(self.pieces), (), generator=generator))]
            rows = self.take(piece.to(self.device))
            yield Drawn(rows, torch.full((), len(piece) / self.n, device=self.device), self._units(piece))

    def _units(self, piece: Tensor) -> int:
        return len(piece) if self.lengths is None else int(self.lengths[piece].sum())

    def close(self) -> None:
        """Lets the processes that read ahead end."""
        stream.close(self.columns)


def examples(columns: stream.Placed, size: int, count: int = 3) -> list[Columns]:
    """A few batches of the first rows, in their order, each shifted by one."""
    n = min(len(column) for column in columns.values())
    rows = torch.arange(size, device=next(iter(columns.values())).device)
    return [stream.take(columns, (rows + shift) % n) for shift in range(count)]
