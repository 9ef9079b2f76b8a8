"""Memory that runs out: work goes on in smaller pieces; and how much of it may be taken."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError, is_out_of_memory
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.seeding import generators, set_generators
from pyrovae.runtime.sizes import bytes_in
from pyrovae.runtime.turns import between

T = TypeVar("T")

_limit: ContextVar[int | None] = ContextVar("limit", default=None)


def limit() -> int | None:
    """Bytes that may be taken, as `limited` says; None where it says nothing."""
    return _limit.get()


@contextmanager
def limited(size: str | int | None, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, at most so much memory is taken on a device; None changes nothing.

    On CUDA torch refuses more (weights and caches count), so that work is halved as it is where the device is full. On
    a CPU, where nothing refuses, it is a plan: pieces of data that are scored, and microbatches of training
    (`pyrovae.svi.Step.plan`), are cut so that what is computed with them fits.

    Args:
        size: bytes, or a text such as `8GB`, `500MB` or `2GiB`.
        device: which.

    Raises:
        UsageError: where the size is none, or less than the device can be told.
    """
    if size is None:
        yield
        return
    taken, device = bytes_in(size), torch.device(device)
    token = _limit.set(taken)
    try:
        with _fraction(taken, device):
            yield
    finally:
        _limit.reset(token)


@contextmanager
def _fraction(taken: int, device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    index = torch.cuda.current_device() if device.index is None else device.index
    # Older versions of torch cannot say what it was.
    asked = getattr(torch.cuda, "get_per_process_memory_fraction", None)
    before = 1.0 if asked is None else asked(index)
    total = torch.cuda.get_device_properties(index).total_memory
    torch.cuda.set_per_process_memory_fraction(min(before, taken / total), index)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before, index)


class NoMemoryError(Exception):
    """Memory ran out; the text is what torch or Python said of it."""


@contextmanager
def tried(device: torch.device) -> Iterator[None]:
    """Work that changes nothing before it is done.

    Raises:
        NoMemoryError: where memory ran out. torch's generators are as they were before, the tensors of the failed calls
            are gone and the caches are empty.
    """
    before = generators(device)
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        # The frames of what failed hold its tensors, and the error holds the frames.
        failed: BaseException | None = error
        while failed is not None:
            traceback.clear_frames(failed.__traceback__)
            failed = failed.__context__
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        set_generators(before, device)
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        raise NoMemoryError(said) from None


def kept_for_backward(own: Iterable[Tensor], work: Callable[[], object]) -> int:
    """Bytes that autograd keeps of `work` for its backward pass, without the tensors of `own`."""
    places = {tensor.untyped_storage().data_ptr() for tensor in own}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in places:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = work()
    del out  # until here nothing of it was freed, or two tensors had the same place
    return sum(kept.values())


def halved(
    n: int, size: int, work: Callable[[slice], T], device: torch.device, show: Progress | None = None
) -> Iterator[tuple[slice, T]]:
    """Work on n data, at most `size` at once, and half as many from each time on that memory runs out.

    What was done stays, and a piece that failed is done again from where the generators stood before it, so the result
    is that of a run in which the pieces had these sizes from the start.

    Args:
        n: how many.
        size: of a piece, at most.
        work: what is done with a piece; it must change nothing before it is done.
        device: where.
        show: where it is said, once.

    Yields:
        Each piece, and what `work` gave.

    Raises:
        PyrovaeError: where there is not enough memory for one datum.
    """
    start, told = 0, False
    while start < n:
        between()
        part = slice(start, min(start + size, n))
        try:
            with tried(device):
                found = work(part)
        except NoMemoryError as error:
            size = half(part.stop - part.start, error)
            told = told or tell(show, part.stop - part.start, "data")
            continue
        yield part, found
        start = part.stop


def half(size: int, error: NoMemoryError, what: str = "datum") -> int:
    """How many go at once where so many did not; raises PyrovaeError where it was one."""
    if size <= 1:
        raise PyrovaeError(
            f"there is not enough memory for one {what} ({error}): take smaller networks, fewer particles or chains, "
            f"or a device with more memory"
        ) from error
    return -(-size // 2)


def tell(show: Progress | None, size: int, what: str) -> bool:
    """Says that pieces get smaller; gives True."""
    if show is not None:
        show.line(f"note: memory ran out at {size:,} {what} at once: going on with smaller pieces, which takes longer")
    return True
