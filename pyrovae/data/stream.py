"""Batches of columns on a device: resident ones by index, stored ones read ahead by worker processes."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pyrovae.data.dataset import Columns
from pyrovae.data.stored import Column, Stored
from pyrovae.errors import PyrovaeError, option

T = TypeVar("T")

AHEAD = 2
"""Batches that each worker reads ahead."""

MOST_WORKERS = 4
"""Workers where their number was not given, at most."""


class Stream:
    """A stored column on its way to a device.

    The order of the rows comes from the caller, the noise is drawn in the process that trains, and nothing is drawn
    from torch's global generator: what is trained is the same, to the bit, with any number of workers and in memory.

    Args:
        column: what is read.
        device: where the batches go; to a GPU they go from pinned memory, while it works.
        workers: processes that read; 0 reads in this one.
    """

    def __init__(self, column: Stored, device: torch.device, workers: int) -> None:
        self.column = column
        self.device = device
        self._order = _Order()
        with _unwarned():
            self._loader: DataLoader[Any] = DataLoader(
                _Rows(column),  # type: ignore[arg-type]
                batch_sampler=self._order,
                num_workers=workers,
                collate_fn=_as_it_is,
                worker_init_fn=_leave_ctrl_c,
                prefetch_factor=AHEAD if workers else None,
                persistent_workers=workers > 0,
                generator=torch.Generator(),  # else the seed of the workers is drawn from the global one
            )

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """These rows, read at once and in this process."""
        return self.column[rows.cpu()].to(self.device)

    def batches(self, pieces: Sequence[Tensor]) -> Iterator[Tensor]:
        """The rows of each piece, in turn; raises PyrovaeError where they cannot be read, or are not what they were."""
        self.column.source.require_unchanged()
        sizes = [len(piece) for piece in pieces]
        self._order.pieces = np.split(torch.cat(list(pieces)).cpu().numpy(), np.cumsum(sizes)[:-1])
        batches: Any = None
        while True:
            try:
                if batches is None:
                    with _unwarned():
                        batches = iter(self._loader)  # starts the workers at the first epoch, asks for them at others
                batch = next(batches)
            except StopIteration:
                self.column.source.require_unchanged()
                return
            except RuntimeError as error:
                if "DataLoader worker (pid" not in str(error):  # else an error of its own, with its traceback
                    raise
                raise PyrovaeError(
                    f"a process that reads the training data has ended ({str(error).splitlines()[0]}): free some "
                    f"memory, or read in one process, {option('workers', 0)}"
                ) from None
            if isinstance(batch, Exception):
                raise batch
            rows = torch.from_numpy(batch)
            yield (rows.pin_memory() if self.device.type == "cuda" else rows).to(self.device, non_blocking=True)

    def close(self) -> None:
        """Ends the workers."""
        # torch ends them when the iterator is collected, which a traceback puts off; there is no public way.
        running = self._loader._iterator
        if running is not None and hasattr(running, "_shutdown_workers"):
            running._shutdown_workers()
        self._loader._iterator = None


Placed = Mapping[str, Tensor | Stream]


def place(columns: Mapping[str, Column], device: torch.device, workers: int | None = None) -> Placed:
    """Columns as training takes them: tensors on the device, and a Stream of each that stays on the disk.

    Args:
        columns: of one split.
        device: where batches are wanted.
        workers: processes that read each stored column; None takes one a core, MOST_WORKERS at most.
    """
    workers = min(MOST_WORKERS, _cores()) if workers is None else workers
    return {
        name: Stream(column, device, workers) if isinstance(column, Stored) else column.to(device)
        for name, column in columns.items()
    }


def take(columns: Placed, rows: Tensor) -> Columns:
    """A few rows of each column, on the device."""
    return {
        name: column[rows] if isinstance(column, Stream) else column.index_select(0, rows)
        for name, column in columns.items()
    }


def batches(columns: Placed, pieces: Sequence[Tensor]) -> Iterator[Columns]:
    """The rows of each piece, in turn, on the device; of stored columns they are read ahead."""
    streams = {name: column.batches(pieces) for name, column in columns.items() if isinstance(column, Stream)}
    for rows in pieces:
        yield {
            name: next(streams[name]) if isinstance(column, Stream) else column.index_select(0, rows)
            for name, column in columns.items()
        }
    for stream in streams.values():
        next(stream, None)  # lets the loader see the end of its epoch


def close(columns: Placed) -> None:
    """Ends the workers, if there are any."""
    for column in columns.values():
        if isinstance(column, Stream):
            column.close()


class _Rows:
    """What a worker holds: it gives a batch at once, or what went wrong (torch would hand on a traceback)."""

    def __init__(self, column: Stored) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> Tensor:
        return self.column[[row]][0]

    def __getitems__(self, rows: np.ndarray) -> np.ndarray | Exception:
        try:
            # As an array it goes through a pipe. A tensor would go through shared memory, which containers keep small,
            # and through a thread of the worker that complains when the process that trains is interrupted.
            return self.column[rows].numpy()
        except (PyrovaeError, OSError, MemoryError) as error:
            return error


class _Order:
    """The pieces of the epoch that is about to start."""

    def __init__(self) -> None:
        self.pieces: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.pieces)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pieces)


def _as_it_is(batch: T) -> T:
    return batch


def _leave_ctrl_c(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the one that trains answers it, and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _unwarned() -> Iterator[None]:
    """Without the warnings that a fork comes beside threads (workers use none of them) and that workers are many."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"This process .* is multi-threaded", DeprecationWarning)
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        yield
