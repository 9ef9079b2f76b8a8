"""What a source hands over, before it is checked, cut and described."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pyrovae.data.dataset import Split


@dataclasses.dataclass(frozen=True)
class Raw:
    """Columns as a source has them.

    Attributes:
        columns: by split (`train` at least), by field: a tensor or an array, first dim the data; of `train` also a
            `Stored`, which stays on the disk.
        names: what the classes of `y` are called.
        divisor: what makes a stored whole-number pixel of `x` lie in [0, 1].
        gray: whether `binarize` "auto" means dynamic.
    """

    columns: Mapping[Split, Mapping[str, Any]]
    names: tuple[str, ...] | None = None
    divisor: float = 255.0
    gray: bool = False


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Text as a source has it: by split (`train` at least), one sentence a string."""

    splits: Mapping[Split, list[str]]
