"""Columns that stay on the disk, and what is found out about any column in pieces."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.limits import free_memory
from pyrovae.data.options import DataConfig

CHUNK = 4096
"""Data that are looked at together, at most."""

PIECE = 2**24
"""Numbers that are looked at together, at most: sums of them are taken in double precision, 128 MiB."""

SAMPLE = 10_000
"""Data of which the mean is taken where each must be decoded, evenly spaced."""

Step = Callable[[Tensor], Tensor]


class Source(Protocol):
    """Data on the disk. It goes to other processes, so it holds no open file when it is pickled.

    Attributes:
        shape: of all data, (N, ...).
        dtype: of what `read` gives: uint8, float32 or int64.
        costly: whether a datum must be decoded: then not all are looked at before training, they are taken for pixels,
            and `stamps` stand for them in the fingerprint.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    costly: bool

    def read(self, rows: np.ndarray) -> Tensor:
        """These rows, (len(rows), ...), as they would be in memory; raises PyrovaeError that names the file."""

    def require_unchanged(self) -> None:
        """Raises PyrovaeError where the data are others than when they were first read, as far as that is seen without
        reading them; asked at the beginning and the end of each epoch."""

    def stamps(self, rows: np.ndarray) -> Iterator[bytes]:
        """By what these rows are known again without reading them; asked for where `costly`."""


class Stored:
    """A column whose rows are read when they are asked for: `column[rows]` is the tensor of these rows.

    It answers `len`, `shape`, `dtype`, `dim`, `is_floating_point` and `to` as a tensor does.

    Args:
        source: what is on the disk.
        rows: which rows of the source, in this order; None for all.
        steps: what is done to the rows, elementwise, after they are read.
        dtype: of what the steps give.
        known: what `summarize` found; kept so that the data are read for it once.
    """

    def __init__(
        self,
        source: Source,
        rows: np.ndarray | None = None,
        steps: tuple[Step, ...] = (),
        dtype: torch.dtype | None = None,
        known: Summary | None = None,
    ) -> None:
        self.source = source
        self.rows = np.arange(source.shape[0]) if rows is None else rows
        self.steps = steps
        self.dtype = dtype or source.dtype
        self.known = known

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | Tensor | np.ndarray | list[int]) -> Tensor:
        found = self.source.read(self._rows(rows))
        for step in self.steps:
            found = step(found)
        return found

    @property
    def shape(self) -> torch.Size:
        """(N, ...) of all rows."""
        return torch.Size((len(self), *self.source.shape[1:]))

    @property
    def costly(self) -> bool:
        """Whether a row must be decoded; see Source."""
        return self.source.costly

    def dim(self) -> int:
        """As of a tensor."""
        return len(self.source.shape)

    def is_floating_point(self) -> bool:
        """As of a tensor."""
        return self.dtype.is_floating_point

    def select(self, rows: slice | Tensor | np.ndarray | list[int]) -> Stored:
        """The column of these rows; reads nothing."""
        return Stored(self.source, self._rows(rows), self.steps, self.dtype)

    def map(self, step: Step, dtype: torch.dtype) -> Stored:
        """The column with a step more; reads nothing. The step must be able to go to another process."""
        return Stored(self.source, self.rows, (*self.steps, step), dtype)

    def to(self, dtype: torch.dtype) -> Stored:
        """The same values in another dtype, which must be able to hold them."""
        if dtype == self.dtype:
            return self
        found = self.map(partial(Tensor.to, dtype=dtype), dtype)
        found.known = self.known
        return found

    def stamps(self) -> Iterator[bytes]:
        """See Source."""
        return self.source.stamps(self.rows)

    def _rows(self, rows: slice | Tensor | np.ndarray | list[int]) -> np.ndarray:
        return self.rows[rows.numpy() if isinstance(rows, Tensor) else rows]


Column = Tensor | Stored


@dataclasses.dataclass(frozen=True)
class Summary:
    """What there is to know about the numbers of a column.

    Attributes:
        low: the least.
        high: the greatest.
        bits: whether all are 0 or 1.
        whole: whether all are whole numbers.
        total: sum over the data that were looked at, in the shape of a datum, double precision; None of a column in
            memory, where it costs more than all the rest, and a second pass costs little.
        first: of these data, in double precision.
        squares: so the sum of squares of what each datum is away from the first.
        count: of these data.
    """

    low: float
    high: float
    bits: bool
    whole: bool
    total: Tensor | None
    first: Tensor | None
    squares: Tensor | None
    count: int


def pieces(column: Column) -> Iterator[Tensor]:
    """A column in its order, in pieces of at most CHUNK data and about PIECE numbers."""
    rows = max(1, min(CHUNK, PIECE // max(1, column.shape[1:].numel())))
    for start in range(0, len(column), rows):
        yield column[start : start + rows]


def summarize(column: Column) -> Summary:
    """One pass over a column; over SAMPLE of its rows, evenly spaced, where they must be decoded."""
    if isinstance(column, Stored) and column.known is not None:
        return column.known
    looked_at = column
    if isinstance(column, Stored) and column.costly:
        count = min(len(column), SAMPLE)
        looked_at = column.select(np.arange(count) * len(column) // count)
    low, high, bits, whole = float("inf"), -float("inf"), True, True
    total = torch.zeros(column.shape[1:], dtype=torch.float64) if isinstance(column, Stored) else None
    squares = None if total is None else torch.zeros_like(total)
    first = None
    for piece in pieces(looked_at):
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
        bits = bits and bool(((piece == 0) | (piece == 1)).all())
        whole = whole and (not piece.is_floating_point() or bool((piece == piece.round()).all()))
        if total is not None and squares is not None:
            first = _stored(piece[:1]) if first is None else first
            total += sum_of(piece)
            squares += squares_of(piece, first)
    found = Summary(low, high, bits, whole, total, first, squares, len(looked_at))
    if isinstance(column, Stored):
        column.known = found
    return found


def total_of(column: Column) -> tuple[Tensor, int]:
    """The sum over the data, in double precision, and of how many; the same bits in memory and from the disk."""
    if isinstance(column, Stored):
        found = summarize(column)
        assert found.total is not None
        return found.total, found.count
    total = torch.zeros(column.shape[1:], dtype=torch.float64)
    for piece in pieces(column):
        total += sum_of(piece)
    return total, len(column)


def moments_of(column: Column, divisor: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of column / divisor over the data, in double precision; the same bits in memory and
    from the disk.

    A standard deviation of 0 is exact: these numbers do not vary.
    """
    total, count = total_of(column)
    if isinstance(column, Stored):
        first, squares = summarize(column).first, summarize(column).squares
        assert first is not None and squares is not None
    else:
        first, squares = _stored(column[:1]), torch.zeros_like(total)
        for piece in pieces(column):
            squares += squares_of(piece, first)
    # Squares around the first datum, so that a mean far from 0 takes no digits away.
    variance = (squares / count - (total / count - first[0]).square()).clamp(min=0)
    return total / (count * divisor), torch.where(squares == 0, 0, variance.sqrt()) / divisor


def sum_of(piece: Tensor) -> Tensor:
    """The sum over the data of what is stored in the end: whole numbers that are no bytes become float32."""
    return (piece.to(torch.float32) if piece.dtype == torch.int64 else piece).sum(0, dtype=torch.float64)


def squares_of(piece: Tensor, first: Tensor) -> Tensor:
    """The sum over the data of the squares of what is stored in the end, less `first`; in double precision."""
    return _stored(piece).sub_(first).square_().sum(0)


def _stored(piece: Tensor) -> Tensor:
    """In double precision what is stored in the end, a copy."""
    return (piece.to(torch.float32) if piece.dtype == torch.int64 else piece).to(torch.float64, copy=True)


def streams(config: DataConfig, nbytes: int) -> bool:
    """Whether training data of so many bytes stay on the disk: as `stream` says, else where memory is short."""
    if config.stream is not None:
        return config.stream
    free = free_memory()
    return free is not None and 2 * nbytes > free and config.binarize != "static"
