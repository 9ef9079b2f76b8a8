"""What a function does at a call, to be compared with what it does at the next."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

MOST = 1000
"""Of the numbers of one `torch.tensor`, so many are noted."""


class Operations(TorchDispatchMode):
    """Inside, the operations of torch are noted in `done`, with the Python numbers in them and without the tensors.

    A number that changes from call to call, and with it what a trace would freeze, is seen however little it changes
    the result: a weight of the KL that grows by a ten-thousandth a step.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.done: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten.lift_fresh.default:  # torch.tensor of Python numbers
            self.done.append(repr(args[0].flatten()[:MOST].tolist()))
        self.done.append(f"{func} {_plain(args)} {_plain(kwargs or {})}")
        return func(*args, **(kwargs or {}))


def _plain(value: object) -> object:
    """Numbers, text and the kinds of torch, as they stand; of everything else that it is there."""
    match value:
        case bool() | int() | float() | str() | torch.dtype() | torch.device() | None:
            return value
        case list() | tuple():
            return [_plain(each) for each in value]
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case Tensor():
            return tuple(value.shape)
    return type(value).__name__
