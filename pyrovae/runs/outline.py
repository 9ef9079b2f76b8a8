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

from pyrovae.errors import PyrovaeError
from pyrovae.runs.tensors import State, matched

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


@contextmanager
def bounded(weights: State, what: str) -> Iterator[None]:
    """Inside, this thread makes no more modules and parameters than a pair of these weights may have, and none that is
    larger than all of them: raises PyrovaeError at the first that is, where `what` names the weights."""
    most, made, here = SPARE + EACH * len(weights), 0, threading.get_ident()
    numbers = sum(tensor.numel() for tensor in weights.values())

    def count(module: nn.Module, name: str, registered: object) -> None:
        nonlocal made
        if threading.get_ident() != here:
            return
        made += 1
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
