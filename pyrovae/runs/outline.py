"""The pair of a run without its numbers, compared with the weights before any memory is taken for it.

A run.json that someone wrote asks for any pair: of a thousand million layers, or of layers that fill the memory. The
header of the weights says which tensors there are, so that no more are made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as registration
from torch.overrides import TorchFunctionMode

from pyrovae.data.limits import free_memory
from pyrovae.errors import PyrovaeError
from pyrovae.runs.tensors import State, matched

MODULES = 100_000
"""And parameters, of a pair whose weights are not known: the largest of ours have a thousand."""

SPARE, EACH = 1000, 100
"""Modules and parameters that are made beside those of the file, and for each of its tensors: most have none, and some
stand at several places."""


def require_outline(build: Callable[[], nn.Module], weights: State, what: str) -> None:
    """Builds a pair on torch's meta device, where tensors have shapes alone; torch's generators stay as they are.

    Args:
        build: gives the pair; none of it is the user's own code.
        weights: that it is to get.
        what: names them in errors.

    Raises:
        PyrovaeError: where the pair has other tensors than `weights`.
    """
    with torch.device("meta"), _Unknown(), bounded(weights, what):
        matched(build(), weights, what)


def require_affordable(build: Callable[[], nn.Module], what: str) -> None:
    """The same where there are no weights yet: what is asked for is compared with the memory that is there.

    Args:
        build: as above.
        what: names the pair in errors.

    Raises:
        PyrovaeError: where the pair has more numbers than memory holds, or more than `MODULES` modules and parameters.
    """
    free = free_memory()
    most = None if free is None else free // torch.float32.itemsize
    total = 0

    def judge(made: int, name: str, registered: object) -> None:
        nonlocal total
        total += registered.numel() if type(registered) is nn.Parameter else 0
        if most is not None and total > most:
            raise PyrovaeError(
                f"{what} has {total:,} numbers and more, and there is memory for {most:,}: it is damaged, or of a "
                f"larger machine"
            )
        if made > MODULES:
            raise PyrovaeError(f"{what} needs more than {MODULES:,} modules and parameters: it is damaged")

    with torch.device("meta"), _Unknown(), _judged(judge):
        build()


@contextmanager
def bounded(weights: State, what: str) -> Iterator[None]:
    """Inside, this thread makes no more modules and parameters than a pair of these weights may have, and none that is
    larger than all of them: raises PyrovaeError at the first that is, where `what` names the weights."""
    most, numbers = SPARE + EACH * len(weights), sum(tensor.numel() for tensor in weights.values())

    def judge(made: int, name: str, registered: object) -> None:
        if type(registered) is nn.Parameter and registered.numel() > numbers:
            raise PyrovaeError(
                f"{what} hold {numbers:,} numbers, and a tensor '{name}' of the pair of run.json has "
                f"{registered.numel():,}: they are of another model"
            )
        if made > most:
            raise PyrovaeError(
                f"{what} are {len(weights)} tensors, and the pair of run.json needs more than {most:,} modules and "
                f"parameters: they are of another model"
            )

    with _judged(judge):
        yield


@contextmanager
def _judged(judge: Callable[[int, str, object], None]) -> Iterator[None]:
    """Inside, `judge` is asked for each module and parameter that this thread makes: how many there are, its name, it
    itself."""
    made, here = 0, threading.get_ident()

    def count(module: nn.Module, name: str, registered: object) -> None:
        nonlocal made
        if threading.get_ident() == here:
            made += 1
            judge(made, name, registered)

    hooks = (
        registration.register_module_module_registration_hook(count),
        registration.register_module_parameter_registration_hook(count),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Unknown(TorchFunctionMode):
    """Where values are not known: what reads one gets 0, what writes one does nothing. The other two torch would do in
    Python, for which it loads more than a second of modules; the masks of `iaf` need them in any case."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        match (getattr(func, "__name__", ""), *args), kwargs or {}:
            case ("item", _), {}:
                return 0
            case ("__setitem__", *_), {}:
                return None
            case ("arange", *ends), {**none} if not none and all(type(end) is int for end in ends):
                return torch.empty(len(range(*ends)), dtype=torch.int64)
            case ("tril_indices", int(n), int(m)), {"offset": -1, **none} if n == m and not none:
                return torch.empty(2, n * (n - 1) // 2, dtype=torch.int64)
        return func(*args, **(kwargs or {}))
