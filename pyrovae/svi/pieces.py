"""A batch in pieces: rows, microbatches, and sums of their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrovae.errors import PyrovaeError, option
from pyrovae.runtime.ranks import summed

Batch = tuple[Tensor, ...]
Rows = dict[str, Tensor] | Sequence[Tensor]


class Sums:
    """Weighted sums of gradients and of some numbers, over pieces of a batch and over all processes.

    They stand in one buffer a dtype, so that one call for each dtype sums them over the processes.

    Args:
        like: tensors of the shapes, dtypes and device of the gradients.
        numbers: how many numbers are summed beside them, in the widest dtype.

    Attributes:
        gradients: views of the sums, in the order of `like`; the next `clear` writes over them.
        numbers: the same of the numbers, (numbers,).
    """

    def __init__(self, like: Sequence[Tensor], numbers: int) -> None:
        dtypes = list(dict.fromkeys(tensor.dtype for tensor in like))
        widest = max(dtypes, key=lambda dtype: dtype.itemsize)
        found: dict[int, Tensor] = {}
        self.buffers: list[Tensor] = []
        self.numbers = torch.empty(0)
        for dtype in dtypes:
            which = [i for i, tensor in enumerate(like) if tensor.dtype == dtype]
            sizes = [like[i].numel() for i in which] + [numbers if dtype == widest else 0]
            buffer = torch.zeros(sum(sizes), dtype=dtype, device=like[0].device)
            *parts, rest = buffer.split(sizes)
            found |= {i: part.view(like[i].shape) for i, part in zip(which, parts, strict=True)}
            self.buffers.append(buffer)
            if dtype == widest:
                self.numbers = rest
        self.gradients = [found[i] for i in range(len(like))]

    def clear(self) -> None:
        """All of them are 0."""
        torch._foreach_zero_(self.buffers)

    def add(self, gradients: Sequence[Tensor], weight: float, numbers: Tensor) -> None:
        """Adds gradients times a weight, and numbers as they are."""
        torch._foreach_add_(self.gradients, list(gradients), alpha=weight)
        self.numbers += numbers.to(self.numbers.dtype)

    def over_ranks(self) -> None:
        """Sums them over all processes, which have the same sums then, bit for bit; see `summed`."""
        for buffer in self.buffers:
            summed(buffer)


COPIES = 4
"""Tensors for each parameter: itself, its gradient and two moments; a microbatch needs one more, the sum."""


BACKWARD = 3
"""Most memory of a step, in relation to what is kept for its backward pass, about."""


def rows_in(rows: Rows) -> int:
    """How many there are."""
    return len(next(iter(rows.values() if isinstance(rows, dict) else rows)))


def cut(rows: Rows, size: int) -> Iterator[Rows]:
    """Pieces of `size` rows, the last one short; contiguous, as a compiled graph expects them."""
    for start in range(0, rows_in(rows), size):
        stop = start + size
        if isinstance(rows, dict):
            yield {name: column[start:stop].contiguous() for name, column in rows.items()}
        else:
            yield tuple(column[start:stop].contiguous() for column in rows)


def not_additive(objective: nn.Module) -> list[str]:
    """What makes the gradient of a batch another one than the sum over its pieces (microbatches, processes): in words,
    empty where it is the same."""
    free = getattr(objective, "free", None)
    found = [
        f"{option(name)} clamps the mean rate of a piece instead of that of the batch"
        for name, value in (("free_bits", free and free.bits), ("free_nats", free and free.nats))
        if value
    ]
    norms = {type(part).__name__ for part in objective.modules() if isinstance(part, _BatchNorm)}
    return found + [f"{name} takes its moments over a piece instead of the batch" for name in sorted(norms)]


def most_at_once(B: int, weights: int, kept: Callable[[int], int], limit: int) -> tuple[int, int]:
    """How many of B data a step may take at once, and the bytes that all of them would take, about.

    Args:
        B: data in the batch.
        weights: bytes of the parameters.
        kept: bytes that are kept for the backward pass of so many of the data; asked for a few.
        limit: bytes that a step may take.

    Raises:
        PyrovaeError: where one datum does not fit.
    """
    few = min(2, B)
    more = min(2 * few, B)
    two, four = kept(few), kept(more)
    each = BACKWARD * (max(1, (four - two) // (more - few)) if more > few else max(1, two))
    fixed = (COPIES + 1) * weights
    if fixed + each > limit:
        raise PyrovaeError(
            f"a step takes about {fixed / 1e6:,.0f} MB for weights, gradients and moments and {each / 1e6:,.2f} MB "
            f"a datum, more than the {limit / 1e6:,.0f} MB that it may: give more memory, or lower the sizes of "
            f"the networks"
        )
    return min(B, int((limit - fixed) // each)), fixed + B * each


class Figures(NamedTuple):
    """Sums over a batch, nats, never weighted, and the number of its data; all 0 where the ELBO is not finite."""

    elbo: Tensor
    rate: Tensor
    distortion: Tensor
    data: Tensor
