"""What one field of a batch holds: its shape, its kind, and what a network must know to read or write it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any, Literal

from pyrovae.storage.jsonable import Json, JsonMapping

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["binary", "unit", "real", "category", "tokens", "partial"]


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of the data.

    Attributes:
        shape: of one datum: `(1, 28, 28)` for an image (channels first), `(D,)` for a vector, `()` for a label,
            `(T,)` for a padded sentence.
        kind: `binary` (0 or 1), `unit` (between 0 and 1), `real`, `category` (int label, -1 = missing),
            `tokens` (int, padded), `partial` (given part of another field and its mask, stacked on the first dim).
        size: how many classes, or how many words.
        pad: token id of the padding; so `bos`, `eos`, `unk`.
        of: of a partial field, the field that it is a part of.
        names: of a category, what the classes are called.
        labelled: of a category, the share of the training rows whose label is not missing, where some were hidden.
        standardized: of a vector, whether networks and Normal of a built-in pair take it in units of the training
            deviation around the training mean (`pyrovae.nets.units`); the values themselves stay as they are.
        mean: mean of the training data, in `shape`; never saved, as what follows from it is in the weights.
        deviation: standard deviation of the training data, in `shape`, so kept; None of binary data.
    """

    shape: tuple[int, ...]
    kind: Kind
    size: int | None = None
    pad: int | None = None
    bos: int | None = None
    eos: int | None = None
    unk: int | None = None
    of: str | None = None
    names: tuple[str, ...] | None = None
    labelled: float | None = None
    standardized: bool = False
    mean: Tensor | None = dataclasses.field(default=None, compare=False, repr=False)
    deviation: Tensor | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def numel(self) -> int:
        """Numbers in one datum."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether a datum is (channels, height, width)."""
        return len(self.shape) == 3

    def to_json(self) -> Json:
        """Everything but `mean` and `deviation`, without what is None."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.compare}
        return {name: value for name, value in values.items() if value is not None and value is not False}

    @classmethod
    def from_json(cls, values: JsonMapping) -> Field:
        """The inverse of `to_json`."""
        listed: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**listed)
