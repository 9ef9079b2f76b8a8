"""Matrix products in lower precision; everything else stays in float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from pyrovae.errors import UsageError, option
from pyrovae.runtime.turns import Shared

Precision = Literal["32", "tf32", "bf16"]

PRODUCTS = frozenset(
    {
        functional.linear,
        torch.matmul,
        torch.mm,
        torch.bmm,
        torch.addmm,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.__rmatmul__,
        torch.Tensor.mm,
        torch.Tensor.bmm,
        functional.conv1d,
        functional.conv2d,
        functional.conv3d,
        functional.conv_transpose1d,
        functional.conv_transpose2d,
        functional.conv_transpose3d,
    }
)

TOLERANCE = 1e-3
"""Largest relative difference of a lowered from an eager gradient."""

BFLOAT16 = 3e-2
"""The same where products have 8 bits, and a product that is fused with another is rounded once less."""


class Bfloat16Products(TorchFunctionMode):
    """Matrix products and convolutions of float32 tensors are taken in bfloat16 and given in float32.

    `torch.autocast` also hands the products on in bfloat16, so that means, scales and noise of a guide have 8 bits: the
    rate of one batch was wrong by 1 %, against 0.06 % here, and it is no faster once the step is compiled.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func in PRODUCTS and args and args[0].dtype == torch.float32:
            args = tuple(_lower(each) for each in args)
            return func(*args, **{name: _lower(each) for name, each in kwargs.items()}).float()
        return func(*args, **kwargs)


def _lower(value: object) -> object:
    return value.bfloat16() if isinstance(value, Tensor) and value.dtype == torch.float32 else value


def products(precision: Precision) -> AbstractContextManager[object]:
    """The context in which an objective is computed."""
    return Bfloat16Products() if precision == "bf16" else nullcontext()


@final
class tf32(Shared):  # noqa: N801  a context, named as one reads it
    """TF32 for products on CUDA inside, where `precision` says so; torch's setting is afterwards as it was."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision

    def put(self) -> None:
        self.found = torch.get_float32_matmul_precision()
        if self.precision == "tf32":
            torch.set_float32_matmul_precision("high")

    def back(self) -> None:
        torch.set_float32_matmul_precision(self.found)


def require_precision(precision: Precision, device: torch.device) -> None:
    """Raises UsageError for what the device does not have."""
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(f"{option('precision', 'tf32')} is of CUDA devices, and this is {device}: take 32 or bf16")


def note(precision: Precision, device: torch.device) -> str | None:
    """What a person should know of the precision on this machine."""
    if precision == "bf16" and device.type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        return f"this CPU has no bfloat16 instructions: {option('precision', 'bf16')} is slower here than 32"
    return None


def tolerance(precision: Precision) -> float:
    """Largest relative difference of a lowered from an eager gradient, where products have this precision."""
    return BFLOAT16 if precision == "bf16" else TOLERANCE
