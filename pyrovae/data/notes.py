"""What a person should know of data as they were read, in a sentence each; `fit` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from pyrovae.data.field import Field
from pyrovae.data.options import DataConfig
from pyrovae.data.pixels import Numbers
from pyrovae.data.stored import Column, summarize
from pyrovae.errors import option

LOOKED = 4096
"""Data whose distinct values are counted."""

DISTINCT = 10
"""Whole numbers from which on they are taken for counts: ratings and ranks have fewer."""

COARSE = 64
"""Steps of float32 in a deviation, below which a column is told to be coarse."""


def of_numbers(values: Numbers, given: Column, config: DataConfig, known: bool) -> list[str]:
    """What was taken for pixels by its dtype and shape, and what was not.

    Args:
        values: the field x as it was understood, before it was binarized.
        given: its training data as they were given.
        config: pixels.
        known: whether the source says what its values are.
    """
    if known or config.pixels is not None or values.kind == "binary":
        return []
    if values.divisor != 1:
        taken = f"whole numbers 0 to 255 in images x are taken for pixels and divided by {values.divisor:g}"
        return [f"{taken}; {option('pixels', False)} takes them as they are"]
    if given.dtype == torch.uint8:
        if given.dim() == 3:
            shape = tuple(given.shape)
            return [f"x is taken as it is, whole numbers {shape}; {option('layout', 'image')} takes it for images"]
        divided = f"{option('pixels', True)} divides them by 255"
        return [f"whole numbers in x are taken as they are; if they are pixels, {divided}"]
    if values.kind == "real" and _look_like_bytes(given):
        return ["x is taken as real numbers: if its 0 to 255 are pixels, save them as uint8"]
    return []


def of_columns(name: str, field: Field) -> list[str]:
    """Columns of a vector that do not vary in the training data, and those whose variation float32 hardly holds.

    Args:
        name: of the field.
        field: with the moments of the training data.
    """
    if len(field.shape) != 1 or field.kind == "binary" or field.mean is None or field.deviation is None:
        return []
    mean, deviation = field.mean.double(), field.deviation.double()
    step = mean.abs() * torch.finfo(torch.float32).eps
    told = []
    if still := (deviation <= step).nonzero().flatten().tolist():
        listed = _first(f"{column} ({float(mean[column]):g})" for column in still)
        told.append(
            f"{len(still)} of the {len(mean)} columns of {name} (from 0) do not vary in the training data: {listed}"
        )
    if coarse := ((deviation > step) & (deviation < COARSE * step)).nonzero().flatten().tolist():
        listed = _first(f"{column} ({float(mean[column]):g} +- {float(deviation[column]):.3g})" for column in coarse)
        told.append(
            f"{len(coarse)} of the {len(mean)} columns of {name} (from 0) vary by little of their size, of which "
            f"float32 holds seven digits: {listed}; subtract a number near the mean before they are given"
        )
    return told


def distinct_counts(given: Column) -> int | None:
    """How many distinct values a column holds as far as it was looked at, where these are whole numbers from 0 on, and
    so many that they look like counts; None where they do not."""
    first = given[:LOOKED]
    distinct = len(first.unique())
    if distinct < DISTINCT or float(first.min()) < 0 or bool((first != first.round()).any()):
        return None
    found = summarize(given)
    return distinct if found.low >= 0 and found.whole else None


def _look_like_bytes(train: Column) -> bool:
    if train.dim() != 4:
        return False
    found = summarize(train)
    return found.low >= 0 and 1 < found.high <= 255 and found.whole


def of_labels(columns: Sequence[Tensor], size: int, name: str, named: bool) -> list[str]:
    """How many data each class has, where classes have none or labels are missing; the likely cure.

    Args:
        columns: the labels, -1 where missing, of all splits.
        size: how many classes there are.
        name: of the field.
        named: whether the classes have names, so that their numbers are meant.
    """
    labels = torch.cat(list(columns))
    counts = torch.bincount(labels[labels >= 0], minlength=size).tolist()
    missing, empty = int((labels < 0).sum()), [label for label in range(size) if not counts[label]]
    if not missing and not empty:
        return []
    full = [f"{label} ({count:,})" for label, count in enumerate(counts) if count]
    told = [f"{name} has {size} {'class' if size == 1 else 'classes'}: {_first(full)}"]
    if empty:
        told.append(f"without data {_first(map(str, empty))}")
    if missing:
        told.append(f"{missing:,} of {len(labels):,} labels are missing (-1)")
    return [", ".join(told) + ("" if named else _cure(empty, size, missing))]


def _cure(empty: Sequence[int], size: int, missing: int) -> str:
    """What labels were probably meant to be, by other conventions."""
    if missing and empty == [0] and size == 2:
        return ": if -1 and 1 are two classes, write 0 and 1"
    if empty == [0]:
        return ": number the classes from 0"
    if size == 256 and 254 in empty:
        return ": if 255 marks what is to be ignored, write -1"
    return ": number the classes 0, 1, 2, ... without gaps" if empty else ""


def _first(words: Iterable[str], most: int = 5) -> str:
    listed = list(words)
    return ", ".join(listed[:most]) + (f", ... ({len(listed)})" if len(listed) > most else "")
