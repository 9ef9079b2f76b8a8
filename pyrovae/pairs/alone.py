"""What a caller has put around a verb is kept out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import final

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import _DIM_ALLOCATOR, _PYRO_STACK
from torch import nn

from pyrovae.errors import UsageError, option
from pyrovae.pairs.parameters import dtype_of
from pyrovae.runtime.turns import Shared

OURS = "pyrovae."
"""Modules of handlers that stay, as that of the temperature of words."""


@contextmanager
def alone(pair: nn.Module | None = None, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Inside, Pyro's handlers of the caller, autocast, no_grad, inference mode and another default dtype do not hold: a
    score under `pyro.poutine.scale` would be another number, and one under autocast has 8 bits.

    Args:
        pair: whose precision new tensors have; None leaves it as it is.
        dtype: theirs, where there is no pair yet.

    Raises:
        UsageError: for another default device than the CPU.
    """
    require_default_device()
    with _Apart(dtype if pair is None else dtype_of(pair)), ExitStack() as own:  # what belongs to the thread alone
        if torch.is_inference_mode_enabled():
            own.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            own.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                own.enter_context(torch.autocast(kind, enabled=False))
        yield


def require_default_device() -> None:
    """Raises UsageError where tensors that are made on the way would not lie on the CPU, as rows and counts must."""
    if (device := torch.get_default_device()).type != "cpu":
        raise UsageError(
            f"torch's default device is {device}: leave it, or torch.set_default_device('cpu'); a fit takes "
            f"{option('device', command='fit')}, and scores are computed where the pair is"
        )


@final
class _Apart(Shared):
    """Without Pyro's handlers of the caller, and with a default dtype: what all threads of a process share."""

    def __init__(self, dtype: torch.dtype | None) -> None:
        self.dtype = dtype
        self.plates: list[str | None] = []
        self.handlers: list[Messenger] | None = None

    def put(self) -> None:
        self.found = list(_PYRO_STACK)
        if self.handlers is None:  # not before it is this thread's turn
            self.handlers = [handler for handler in self.found if type(handler).__module__.startswith(OURS)]
        _PYRO_STACK[:] = self.handlers
        self.around, _DIM_ALLOCATOR._stack[:] = list(_DIM_ALLOCATOR._stack), self.plates
        self.before = torch.get_default_dtype()
        if self.dtype is not None:
            torch.set_default_dtype(self.dtype)

    def back(self) -> None:
        torch.set_default_dtype(self.before)
        self.handlers, _PYRO_STACK[:] = list(_PYRO_STACK), self.found
        self.plates, _DIM_ALLOCATOR._stack[:] = list(_DIM_ALLOCATOR._stack), self.around
