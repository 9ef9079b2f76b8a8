"""What a caller has put around a verb is kept out of it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import final

import torch
from pyro.poutine.runtime import _DIM_ALLOCATOR, _PYRO_STACK
from torch import nn

from pyrovae.pairs.parameters import device_of, dtype_of
from pyrovae.runtime.turns import Shared

OURS = "pyrovae."
"""Modules of handlers that stay, as that of the temperature of words."""


@final
class alone(Shared):  # noqa: N801  a context, named as one reads it
    """Inside, Pyro's handlers of the caller, autocast, no_grad, inference mode and other defaults of dtype and device
    do not hold: a score under `pyro.poutine.scale` would be another number, and one under autocast has 8 bits.

    Args:
        pair: whose precision and device new tensors have; None leaves these defaults as they are.
        dtype: theirs, where there is no pair yet.
    """

    def __init__(self, pair: nn.Module | None = None, dtype: torch.dtype | None = None) -> None:
        self.dtype = dtype if pair is None else dtype_of(pair)
        self.device = None if pair is None else device_of(pair)
        self.plates: list[str | None] = []
        self.handlers = [handler for handler in _PYRO_STACK if type(handler).__module__.startswith(OURS)]

    def put(self) -> None:
        self.found, _PYRO_STACK[:] = list(_PYRO_STACK), self.handlers
        self.around, _DIM_ALLOCATOR._stack[:] = list(_DIM_ALLOCATOR._stack), self.plates
        self.before, self.contexts = torch.get_default_dtype(), ExitStack()
        if self.dtype is not None:
            torch.set_default_dtype(self.dtype)
        if torch.is_inference_mode_enabled():
            self.contexts.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            self.contexts.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                self.contexts.enter_context(torch.autocast(kind, enabled=False))
        if self.device is not None and torch.get_default_device().type != self.device.type:
            self.contexts.enter_context(self.device)

    def back(self) -> None:
        self.contexts.close()
        torch.set_default_dtype(self.before)
        self.handlers, _PYRO_STACK[:] = list(_PYRO_STACK), self.found
        self.plates, _DIM_ALLOCATOR._stack[:] = list(_DIM_ALLOCATOR._stack), self.around
