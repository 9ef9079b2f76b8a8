"""How much of a computation goes at once."""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from pyrovae.runtime import memory
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.turns import between

CPU_BYTES = 16 * 2**20
"""Memory of one chunk on a CPU: its largest tensor then stays in the cache (docs/decisions/0012)."""

CPU_BYTES_OF_SEQUENCES = 64 * 2**20
"""The same for sentences: a GRU goes word by word, and wants more rows for each."""

LIVE = 4
"""Tensors of the largest size that are alive at once, about."""

MOST_DATA = 512
"""Data of one chunk; more gain nothing."""


def budget(device: torch.device, sequences: bool = False, most: int | None = None) -> int:
    """Bytes that one chunk may take: a quarter of the free memory of a GPU, on a CPU `most`, else a fixed piece;
    less where `pyrovae.runtime.memory.limited` says so."""
    limit = memory.limit()
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return (free if limit is None else max(0, min(free, limit - torch.cuda.memory_allocated(device)))) // 4
    piece = most or (CPU_BYTES_OF_SEQUENCES if sequences else CPU_BYTES)
    return piece if limit is None else min(piece, limit)


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation inside gives; one that is made of parameters alone (what
    a VampPrior's encoder makes of its pseudo-inputs) is the same however many samples there are, and does not count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: int = 1
        self.fixed: dict[int, Tensor] = {}  # by address; held, so that nothing else comes to stand there

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        tensors = list(_tensors((*args, *(kwargs or {}).values())))
        # A view of what came in takes no memory: the transpose of a weight is larger than what one datum needs.
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        fixed = bool(tensors) and all(
            isinstance(tensor, nn.Parameter) or tensor.untyped_storage().data_ptr() in self.fixed for tensor in tensors
        )
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if not isinstance(tensor, Tensor):
                continue
            at = tensor.untyped_storage().data_ptr()
            if fixed:
                self.fixed[at] = tensor
            elif at not in given:
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return out


def _tensors(values: Iterable[object]) -> Iterator[Tensor]:
    """Those among the arguments of an operation, and in lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


class Piece(NamedTuple):
    """Data that are scored together, and how many samples of each at once."""

    rows: Tensor
    samples: int


def bytes_of(one_sample: Callable[[], object]) -> int:
    """Bytes of the largest tensor of a computation (the logits of a whole vocabulary are thousands of times the
    sentence that they score)."""
    largest = Largest()
    with largest:
        one_sample()
    return largest.bytes


def pieces(
    bytes_of_one: int, data: int, samples: int, device: torch.device, lengths: Tensor | None = None
) -> list[Piece]:
    """The data in pieces of what fits the memory, each with all samples at once where they fit, else in even parts.

    Args:
        bytes_of_one: the largest tensor of one sample of one datum, of the longest where there are `lengths`.
        data: how many there are.
        samples: how many there are for each.
        device: whose memory.
        lengths: (N,) what the memory of a datum grows with; data of similar lengths are scored together, long ones
            first.
    """
    order = torch.arange(data) if lengths is None else lengths.cpu().argsort(descending=True, stable=True)
    share = (
        torch.ones(data) if lengths is None else lengths.cpu()[order].clamp_min(1) / lengths.max().clamp_min(1).cpu()
    )
    most, found, start = budget(device, lengths is not None) // LIVE, list[Piece](), 0
    while start < data:
        fit = max(1, int(most // (bytes_of_one * float(share[start]))))
        rows = order[start : start + max(1, min(MOST_DATA, fit // samples))]
        found.append(Piece(rows, even(samples, max(1, fit // len(rows)))))
        start += len(rows)
    return found


@dataclasses.dataclass
class Part:
    """So many samples of data that are scored together.

    Attributes:
        rows: the data.
        samples: of each.
        left: how many samples of each are still to come.
        done: whether memory was enough for it.
    """

    rows: Tensor
    samples: int
    left: int
    done: bool = False


class Shrinking:
    """Pieces that get smaller where memory runs out: first in their samples, then in their data.

    What was done stays, and what failed is done again from where the generators stood before it, so the result is that
    of a run in which the pieces had these sizes from the start.

    for part in shrinking.over(cut, samples):
        with shrinking.tried(part):
            ...                                 # of part.rows and part.samples; it changes nothing before it is done

    Args:
        device: where.
        show: where it is said, once.

    Attributes:
        most: samples of all data of a piece together that go at once, at most.
    """

    def __init__(self, device: torch.device, show: Progress | None = None) -> None:
        self.device, self.show, self.most, self.told = device, show, sys.maxsize, False

    def fit(self, piece: Piece, left: int) -> Piece:
        """As much of a piece as goes at once, of whose data so many samples are left."""
        rows = piece.rows[: self.most]
        return Piece(rows, min(piece.samples, left, self.most // len(rows)))

    def over(self, cut: Sequence[Piece], samples: int) -> Iterator[Part]:
        """So many samples of each datum, part by part; a part that was not done comes again, smaller.

        Args:
            cut: the data in pieces, and how many samples at once.
            samples: of each datum.
        """
        todo = [(piece, samples) for piece in reversed(cut)]
        while todo:
            between()
            piece, left = todo.pop()
            rows, K = self.fit(piece, left)
            if len(rows) < len(piece.rows):
                todo.append((Piece(piece.rows[len(rows) :], piece.samples), left))
            part = Part(rows, K, left - K)
            yield part
            left = part.left if part.done else left
            if left:
                todo.append((Piece(rows, piece.samples), left))

    @contextmanager
    def tried(self, part: Part) -> Iterator[None]:
        """Inside, a part is worked on.

        Raises:
            PyrovaeError: where there is not enough memory for one sample of one datum.
        """
        try:
            with memory.tried(self.device):
                yield
            part.done = True
        except memory.NoMemoryError as error:
            self.smaller(len(part.rows) * part.samples, error)

    def smaller(self, size: int, error: memory.NoMemoryError) -> None:
        """Memory ran out at so many samples."""
        self.most = memory.half(size, error, "sample of one datum")
        self.told = self.told or memory.tell(self.show, size, "samples")


def even(samples: int, most: int) -> int:
    """The size of the parts when samples are cut into as few parts of at most `most` as there can be."""
    return math.ceil(samples / math.ceil(samples / most))


def evenly(n: int, limit: int) -> Tensor:
    """The rows of at most `limit` of n data, evenly spaced: the order of data may mean something."""
    return torch.linspace(0, n - 1, min(n, limit)).round().long()
