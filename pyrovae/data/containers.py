"""What a person hands over in Python, as data by field: lists, Datasets of torch, dicts and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from pyrovae.data.classes import is_text, texts_of
from pyrovae.data.raw import Found, Raw, Sentences
from pyrovae.data.synonyms import KEY, by_split, fields_of, splits_of
from pyrovae.errors import PyrovaeError


def unpacked(data: object, name: str) -> Found:
    """Data in memory as tensors and arrays by field or by split, or as sentences where x is text.

    - a list of numbers, of rows, of arrays or tensors of one shape is x; one of strings is text;
    - a list of tuples (x, y), or of dicts, and a Dataset of torch that gives such items, is a column of each part;
    - names of fields and splits are those of `pyrovae.data.synonyms`.

    Raises:
        PyrovaeError: items that differ in form or shape, a Dataset without a length, text beside other fields.
    """
    if isinstance(data, Raw | Sentences):
        return data
    if isinstance(data, Mapping) and data and all(isinstance(key, str) for key in data):
        return _of_mapping(data, name)
    if isinstance(data, tuple) and len(data) in (1, 2):
        return _text_or_not(dict(zip(("x", "y"), data, strict=False)), data, name)
    if isinstance(data, DataLoader):
        raise PyrovaeError(f"data {name}: a DataLoader makes batches of data: give what it reads, its .dataset")
    if isinstance(data, TorchDataset):
        return _of_items(data, name)
    if isinstance(data, list):
        if not data:
            raise PyrovaeError(f"data {name}: an empty list: give at least one datum")
        if (isinstance(data[0], tuple) and _is_datum(data[0])) or isinstance(data[0], Mapping | Image.Image):
            return _of_items(data, name)
        return _text_or_not({"x": data}, {"x": data}, name)
    if isinstance(data, np.ndarray) or hasattr(data, "__array__"):
        return _text_or_not({"x": data}, data, name)
    return data  # type: ignore[return-value]


def _of_mapping(data: Mapping[str, object], name: str) -> Found:
    if (splits := splits_of(data)) is not None:
        parts = {splits[key]: unpacked(part, f"{name}, {key}") for key, part in data.items()}
        texts = {split: part for split, part in parts.items() if isinstance(part, Sentences)}
        if not texts:
            return parts  # type: ignore[return-value]
        if len(texts) < len(parts):
            raise PyrovaeError(f"data {name}: {next(iter(texts))} is text and others are not: give text in all")
        return Sentences({split: text.splits["train"] for split, text in texts.items()})  # type: ignore[misc]
    if all(KEY.fullmatch(key) for key in data):
        return _of_mapping(by_split(data, f"data {name}"), name)
    called = fields_of(data)
    fields = {called[key]: value for key, value in data.items()}
    return _text_or_not(fields, fields, name)


def _text_or_not(fields: Mapping[str, object], as_given: object, name: str) -> Found:
    """Sentences, where the field x is text; else what was given."""
    if "x" not in fields or not is_text(fields["x"]):
        return as_given  # type: ignore[return-value]
    if others := [field for field in fields if field != "x"]:
        beside = f"{', '.join(others)} stands beside it, which no pair of text reads"
        raise PyrovaeError(f"data {name}: x is text, and {beside}: give x alone")
    lines = texts_of(fields["x"], f"data {name}: x")
    return Sentences({"train": ["" if line is None else line for line in lines]})


def _is_datum(item: Sequence[object]) -> bool:
    """Whether a tuple is a datum (x,) or (x, y) and no row of numbers."""
    return len(item) in (1, 2) and isinstance(item[0], Tensor | np.ndarray | Image.Image | list | tuple)


def _of_items(items: TorchDataset[object] | list[object], name: str) -> Found:
    """A column of each part of the items, in their order."""
    if isinstance(items, TensorDataset):
        parts = items.tensors
        if len(parts) > 2:
            raise PyrovaeError(f"data {name}: a TensorDataset of {len(parts)} tensors: give a dict of them by field")
        return tuple(parts)
    if isinstance(items, IterableDataset) or not hasattr(items, "__len__"):
        raise PyrovaeError(f"data {name}: a {type(items).__name__} has no length, as data must: give tensors or a list")
    rows = [_datum(items[i], f"data {name}: item {i}") for i in range(len(items))]  # type: ignore[arg-type]
    if not rows:
        raise PyrovaeError(f"data {name}: a {type(items).__name__} of no data: give at least one datum")
    for i, row in enumerate(rows):
        if set(row) != set(rows[0]):
            here, there = ", ".join(row), ", ".join(rows[0])
            raise PyrovaeError(f"data {name}: item 0 has the parts {there}, and item {i} {here}: make them alike")
    columns = {field: _stacked([row[field] for row in rows], f"data {name}: {field}") for field in rows[0]}
    return unpacked(columns, name)


def _datum(item: object, what: str) -> dict[str, object]:
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, list | tuple) and len(item) in (1, 2):
        return dict(zip(("x", "y"), item, strict=False))
    if isinstance(item, tuple):
        raise PyrovaeError(f"{what} has {len(item)} parts, and a datum is x, (x, y) or a dict from field to value")
    return {"x": item}


def _stacked(values: list[object], what: str) -> Tensor | list[object]:
    """(N, ...) of values of one shape; strings stay a list."""
    if is_text(values):
        return values
    tensors = [value if isinstance(value, Tensor) else torch.as_tensor(np.array(value)) for value in values]
    for i, tensor in enumerate(tensors):
        if tensor.shape != tensors[0].shape:
            raise PyrovaeError(
                f"{what} has shape {tuple(tensors[0].shape)} in item 0 and {tuple(tensor.shape)} in item {i}: "
                f"make them of one shape"
            )
    return torch.stack(tensors)
