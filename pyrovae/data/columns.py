"""From what a caller or a file gives to checked tensors: pixels, numbers and labels."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.dataset import SPLITS
from pyrovae.data.options import Layout
from pyrovae.data.plain import require_plain, sparse_kind, values_of
from pyrovae.data.raw import Raw
from pyrovae.errors import PyrovaeError, is_out_of_memory


def gather(data: object, name: str) -> Raw:
    """x, `(x, y)`, a dict from field, or a dict from split to one of these, as one Raw.

    Raises:
        PyrovaeError: `data` is none of them.
    """
    if isinstance(data, Mapping) and data and set(data) <= set(SPLITS):
        return Raw(columns={split: _fields(part, f"{name}, {split}") for split, part in data.items()})
    return Raw(columns={"train": _fields(data, name)})


def _fields(data: object, name: str) -> dict[str, object]:
    if isinstance(data, Mapping):
        if not data or not all(isinstance(key, str) for key in data):
            raise PyrovaeError(f"data {name}: a dict goes from the names of fields, or of splits, to tensors")
        return dict(data)
    if isinstance(data, tuple):
        if len(data) not in (1, 2):
            raise PyrovaeError(f"data {name}: a tuple is (x,) or (x, y), and this has {len(data)} parts: give a dict")
        return dict(zip(("x", "y"), data, strict=False))
    if isinstance(data, Tensor | np.ndarray):
        return {"x": data}
    if kind := sparse_kind(data):
        raise PyrovaeError(f"data {name}: {kind}, and sparse data are not read yet: give {values_of(data)}")
    raise PyrovaeError(
        f"data {name}: a {type(data).__name__} is no tensor, array, tuple, dict or Dataset: give {values_of(data)}"
    )


def numbers(value: object, what: str) -> Tensor:
    """A tensor on the CPU, detached, of uint8, float32 or int64, at least one datum, without NaN or infinity.

    `bool` becomes uint8, every other float float32, every other whole number int64.
    """
    require_plain(value, what)
    with _readable(value, what):
        tensor = value.detach().cpu() if isinstance(value, Tensor) else torch.from_numpy(_native(value))
    if tensor.dim() == 0 or tensor.numel() == 0:
        raise PyrovaeError(f"{what} has shape {tuple(tensor.shape)}: give at least one datum of at least one number")
    if tensor.is_complex():
        raise PyrovaeError(f"{what} is complex: give whole numbers or floats")
    if tensor.is_floating_point():
        with _readable(value, what):
            tensor = tensor.to(torch.float32)
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise PyrovaeError(f"{what} holds {bad} values that are NaN or infinite: mend or leave out these data")
        return tensor.contiguous()
    if tensor.dtype == torch.uint64 and bool((tensor.view(torch.int64) < 0).any()):
        raise PyrovaeError(f"{what} holds whole numbers of 2**63 or more: save smaller ones, or floats")
    with _readable(value, what):
        tensor = tensor.to(torch.uint8 if tensor.dtype in (torch.bool, torch.uint8) else torch.int64)
    return tensor.contiguous()


@contextmanager
def _readable(value: object, what: str) -> Iterator[None]:
    """Raises PyrovaeError where numpy or torch can make no numbers of the value."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        kind = f"{getattr(value, 'dtype', type(value).__name__)}".removeprefix("torch.")
        if isinstance(value, list | tuple):
            kind = f"a {kind} that makes no array"
        raise PyrovaeError(f"{what} is {kind}: give whole numbers or floats") from None


def _native(value: object) -> np.ndarray:
    """A copy that torch may own, in the byte order of this machine."""
    array = np.asarray(value)
    dtype = array.dtype.newbyteorder("=")
    with np.errstate(all="ignore"):  # what is not finite is refused by its caller
        return array.astype(np.float64 if dtype.kind == "f" and dtype.itemsize > 8 else dtype)


def arrange(x: Tensor, what: str, layout: Layout) -> Tensor:
    """`(N,)` -> `(N, 1)`; `(N, D)` stays; as image, images of any order become `(N, C, H, W)`; as given, all stay."""
    if x.dim() == 1:
        return x[:, None]
    if x.dim() == 2 or layout == "given":
        return x
    if x.dim() == 3:
        return x[:, None]
    if x.dim() == 4:
        if x.shape[1] in (1, 3):
            return x
        if x.shape[3] in (1, 3):
            return x.permute(0, 3, 1, 2).contiguous()
        if x.is_floating_point():
            return x
    raise PyrovaeError(
        f"{what} has shape {tuple(x.shape)}: give (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C), "
        f"whole-number pixels with 1 or 3 channels"
    )


def is_vector(y: Tensor) -> bool:
    """Whether floats are a real condition, (N, D), and no labels: one column of whole numbers is labels."""
    return y.dim() > 1 and (y.shape[1:].numel() > 1 or bool((y != y.round()).any()))


def labels(y: Tensor, what: str) -> Tensor:
    """Classes as int64 `(N,)`, -1 where the label is missing."""
    if y.dim() == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dim() != 1:
        raise PyrovaeError(f"{what} has shape {tuple(y.shape)}: give one label a datum, (N,), or floats")
    whole = y.to(torch.int64)
    if y.is_floating_point() and (whole != y).any():
        value = float(y[whole != y][0])
        raise PyrovaeError(
            f"{what} holds {value:g}: labels are whole numbers from 0, -1 where missing; give a real vector as (N, D)"
        )
    if int(whole.min()) < -1:
        raise PyrovaeError(f"{what} holds {int(whole.min())}: labels are whole numbers from 0, or -1 where missing")
    return whole


def classes(columns: Sequence[Tensor], names: tuple[str, ...] | None, what: str) -> int:
    """How many classes there are: as many as have names, else the highest label and one."""
    highest = max(int(column.max()) for column in columns)
    total = sum(len(column) for column in columns)
    if highest < 0:
        raise PyrovaeError(f"{what} holds no label at all, only -1: leave it out")
    if names is not None and highest >= len(names):
        raise PyrovaeError(f"{what} holds {highest}, and {len(names)} classes end at {len(names) - 1}: mend it")
    if highest >= max(1000, total):
        raise PyrovaeError(f"{what} holds {highest} and there are {total} data: number the classes 0, 1, 2, ...")
    return highest + 1 if names is None else len(names)
