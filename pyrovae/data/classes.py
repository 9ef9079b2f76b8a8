"""Classes that are written as text: their names in order, and the number of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.columns import labels
from pyrovae.data.dataset import Split
from pyrovae.data.field import Field
from pyrovae.data.raw import Raw
from pyrovae.errors import PyrovaeError, brief


def is_text(value: object) -> bool:
    """Whether a column is a list or an array of strings, of which some may be missing (None or NaN)."""
    if isinstance(value, Tensor):
        return False
    if not isinstance(value, list | tuple):
        kind, shape = kind_of(value), getattr(value, "shape", ())
        if kind not in ("O", "U", "S", "T") or tuple(shape[1:]) not in ((), (1,)):
            return False
        if kind in "US":
            return True
    values = _listed(value)
    return any(isinstance(each, str) for each in values) and all(_is_string(each) for each in values)


def kind_of(value: object) -> str | None:
    """What numpy calls the kind of an array, O where pandas has a kind of its own; None where it is no array."""
    dtype = getattr(value, "dtype", None)
    return None if dtype is None else str(getattr(dtype, "kind", "O"))


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else list(np.asarray(value).reshape(-1))


def _is_string(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, float) and value != value)


def texts_of(value: object, what: str) -> list[str | None]:
    """The strings of a column; None where one is missing or empty.

    Raises:
        PyrovaeError: where they are no text that could be written to a file.
    """
    try:
        if kind_of(value) == "S":
            value = np.char.decode(np.asarray(value), "utf-8")
        found = [str(each) if isinstance(each, str) and each else None for each in _listed(value)]
        for each in found:
            (each or "").encode()
    except (UnicodeError, ValueError, SystemError) as error:
        raise PyrovaeError(f"{what} holds strings that are no text ({error}): write them anew") from None
    return found


def numbered(raw: Raw, name: str) -> Raw:
    """The same columns with whole numbers in the place of text: classes in the order of their names, over all splits;
    what is missing or empty is -1.

    Raises:
        PyrovaeError: where a field is text in some splits only.
    """
    textual = {
        field for columns in raw.columns.values() for field, value in columns.items() if field != "x" and is_text(value)
    }
    if not textual:
        return raw
    columns: dict[Split, dict[str, Any]] = {split: dict(fields) for split, fields in raw.columns.items()}
    written: dict[str, tuple[str, ...]] = {}
    for field in sorted(textual):
        texts = {}
        for split, fields in raw.columns.items():
            if field in fields and not is_text(fields[field]):
                what = f"data '{name}': {field} is text in some splits only, not in {split}"
                raise PyrovaeError(f"{what}: make them alike")
            texts[split] = texts_of(fields.get(field, []), f"data '{name}': {field} of {split}")
        written[field] = tuple(sorted({each for split in texts.values() for each in split if each is not None}))
        number: Mapping[str | None, int] = {None: -1} | {each: i for i, each in enumerate(written[field])}
        for split in [split for split in columns if field in columns[split]]:
            columns[split][field] = np.array([number[each] for each in texts[split]], np.int64)
    return dataclasses.replace(raw, columns=columns, written=written)


def as_before(column: Tensor, ours: Field, raw: Raw, data: str, field: str, is_read: bool) -> Tensor:
    """Classes by the names that the fit had, by number where one of both has none; unknown ones are -1 where the pair
    does not read them."""
    found, names = labels(column, f"data '{data}': {field}"), raw.names_of(field)
    if ours.names is None and field in raw.written:
        raise PyrovaeError(
            f"data '{data}': {field} is text, as '{brief(raw.written[field][0])}', and the classes of this run are the "
            f"numbers 0 to {(ours.size or 1) - 1}: give numbers"
        )
    if names is not None and ours.names is not None:
        number = {each: i for i, each in enumerate(ours.names)}
        strange = [each for each in names if each not in number]
        if strange and is_read:
            raise PyrovaeError(
                f"data '{data}': class '{brief(strange[0])}' of {field} is none of this run, which has "
                f"{brief(', '.join(ours.names))}: leave these data out"
            )
        table = torch.tensor([*[number.get(each, -1) for each in names], -1])
        return table[found]
    assert ours.size is not None
    if int(found.max()) >= ours.size:
        if is_read:
            raise PyrovaeError(
                f"data '{data}': {field} holds {int(found.max())}, and this run has the classes 0 to {ours.size - 1}: "
                "leave these data out"
            )
        return torch.where(found < ours.size, found, -1)
    return found
