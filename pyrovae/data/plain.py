"""What a tensor or an array must be before its numbers are read: dense, with a value in every cell, in memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.masked import MaskedTensor

from pyrovae.errors import PyrovaeError


def require_plain(value: object, what: str) -> None:
    """Raises PyrovaeError where numbers could not be read, or others would be read than are meant.

    Args:
        value: a tensor, an array, a list of them, or anything that numpy makes an array of.
        what: it is, for the error.
    """
    if isinstance(value, Tensor):
        _require_dense(value, what)
    elif isinstance(value, np.ndarray):
        if names := value.dtype.names:
            raise PyrovaeError(
                f"{what} is a table with the columns {', '.join(names)}: give an array of numbers, (N, D)"
            )
        if isinstance(value, np.ma.MaskedArray) and (missing := int(np.ma.getmaskarray(value).sum())):
            _refuse_missing(missing, value.size, what)
    elif callable(getattr(value, "toarray", None)):
        if kind := sparse_kind(value):
            raise PyrovaeError(f"{what} is {kind}, and sparse data are not read yet: give {values_of(value)}")
        raise PyrovaeError(f"{what} is a {type(value).__name__}: give {values_of(value)}")
    elif isinstance(value, list | tuple):
        for part in value:
            if isinstance(part, Tensor | np.ndarray | list | tuple):
                require_plain(part, what)


def sparse_kind(value: object) -> str | None:
    """`a sparse matrix of scipy (csr, 30 x 4)`; None of anything else."""
    form, shape = getattr(value, "format", None), getattr(value, "shape", None)
    if not isinstance(form, str) or not isinstance(shape, tuple) or not callable(getattr(value, "toarray", None)):
        return None
    return f"a sparse matrix of scipy ({form}, {' x '.join(map(str, shape))})"


def values_of(value: object) -> str:
    """What to give in the place of a frame of pandas or a sparse matrix of scipy, by their own names."""
    calls = [name for name in ("to_numpy", "toarray") if callable(getattr(value, name, None))]
    return f"its values, .{calls[0]}()" if calls else "one"


def _require_dense(tensor: Tensor, what: str) -> None:
    if isinstance(tensor, MaskedTensor):
        mask = tensor.get_mask()
        if missing := int((~mask).sum()):
            _refuse_missing(missing, mask.numel(), what)
        raise PyrovaeError(f"{what} is a masked tensor without a missing cell: give its values, .get_data()")
    if tensor.is_nested:
        raise PyrovaeError(f"{what} is a nested tensor, whose data may differ in shape: give data of one shape")
    if tensor.layout != torch.strided:
        kind = str(tensor.layout).removeprefix("torch.")
        raise PyrovaeError(f"{what} is a tensor of layout {kind}: give every value, .to_dense()")
    if tensor.is_quantized:
        raise PyrovaeError(f"{what} is a quantized tensor: give its values, .dequantize()")
    if tensor.is_meta:
        raise PyrovaeError(f"{what} is a tensor on the device meta, which has no values: give one that has")


def _refuse_missing(missing: int, total: int, what: str) -> None:
    raise PyrovaeError(
        f"{what} has {missing} of {total} cells masked, and missing cells are not supported yet: fill them, or leave "
        f"these rows out"
    )
