"""What a source hands over, before it is checked, cut and described."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from pyrovae.data.dataset import Dataset, Split

Array = Tensor | np.ndarray | list[Any]
"""The values of a field, first dim the data."""

Values = Array | tuple[Array, ...] | Mapping[str, Array] | TorchDataset[Any]
"""x, `(x, y)`, a mapping from field to values, or what gives these datum by datum."""

Tensors = Values | Mapping[str, Values]
"""Data in memory: those of `train`, which are cut, or a mapping from split to values."""

DataSpec = str | os.PathLike[str] | Tensors | Dataset
"""What a person hands over as data (`pyrovae.data.load`): a name, a path, data in memory, or a Dataset."""


@dataclasses.dataclass(frozen=True)
class Raw:
    """Columns as a source has them.

    Attributes:
        columns: by split (`train` at least), by field: a tensor or an array, first dim the data; of `train` also a
            `Stored`, which stays on the disk.
        names: what the classes of `y` are called.
        divisor: what makes a stored whole-number pixel of `x` lie in [0, 1]; None where it is not known whether these
            are pixels.
        gray: whether `binarize` "auto" means dynamic.
        notes: what a person should know of how these were read.
        written: of fields whose values came as text, the names of their classes by field.
        rows: by split, what each datum is called, as the path of an image in its folder.
    """

    columns: Mapping[Split, Mapping[str, Any]]
    names: tuple[str, ...] | None = None
    divisor: float | None = None
    gray: bool = False
    notes: tuple[str, ...] = ()
    rows: Mapping[Split, Sequence[str]] = dataclasses.field(default_factory=dict)
    written: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def names_of(self, field: str) -> tuple[str, ...] | None:
        """What the classes of a field are called; None where they have numbers only."""
        return self.written.get(field, self.names if field == "y" else None)


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Text as a source has it: by split (`train` at least), one sentence a string."""

    splits: Mapping[Split, list[str]]


Found = Raw | Sentences | Tensors
"""What a source or a file gives."""
