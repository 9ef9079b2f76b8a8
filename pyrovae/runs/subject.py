"""What a verb asks of a run: a trained pair, its data and where it lies. Verbs take this, and never `Run` itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from pyrovae.config import Options
from pyrovae.data.dataset import Dataset, Part
from pyrovae.data.field import Field
from pyrovae.data.raw import DataSpec
from pyrovae.data.vocabulary import Vocabulary
from pyrovae.pairs.pair import Pair
from pyrovae.runs.recipe import Recipe, Status


class Subject(Protocol):
    """A trained pair with its data; see `pyrovae.runs.run.Run`, which is one."""

    pair: Pair
    recipe: Recipe
    fields: dict[str, Field]
    description: dict[str, Any]
    vocabulary: Vocabulary | None
    path: Path | None
    metrics: list[dict[str, Any]]
    results: Mapping[str, Any]
    status: Status

    @property
    def data(self) -> Dataset: ...

    def split(self, split: Part = "test", limit: int | None = None) -> tuple[Tensor, ...]:
        """A split as the tuple of tensors that `pair.model(*batch)` takes; `limit` keeps the first so many."""

    def some(
        self, split: Part = "test", limit: int | None = None, evenly: bool = True
    ) -> tuple[tuple[Tensor, ...], Tensor | None, Tensor]:
        """`limit` data of a split, evenly spaced or the first: batch, lengths of sentences, rows of the split."""

    def lengths(self, split: Part = "test", limit: int | None = None) -> Tensor | None:
        """Tokens of each sentence of a split, (N,); None where the data are no text."""

    def labels(self, split: Part = "test", limit: int | None = None) -> Tensor | None:
        """The classes of a split, (N,), also those that are hidden from the pair; None where the data have none."""

    def index(self, split: Part = "test", limit: int | None = None, evenly: bool = False) -> dict[str, np.ndarray]:
        """By what the data of a split are known again: `row`, and `name` where their source has names."""

    def options(self) -> Options | None:
        """The options of the model and of its training, by name; None for a pair that was handed over in Python."""


class Drawn(Subject, Protocol):
    """A subject that generates, and that pictures of what it generates can be made of."""

    def on(self, data: DataSpec | None, split: Part = "all", conditions: bool = False) -> Drawn:
        """The same with other data in the place of its own; see `pyrovae.runs.run.Run.on`."""

    def classes(self) -> int | None:
        """How many classes y has where it is a label that the pair reads; None where it is not."""

    def ends(self, rows: int) -> tuple[Tensor, ...]:
        """2 * rows test data, pair by pair, to interpolate between."""

    def interpolate(
        self,
        rows: int = 4,
        steps: int = 8,
        seed: int = 0,
        temperature: float | None = None,
        data: DataSpec | None = None,
    ) -> Tensor | list[list[str]]:
        """Between the pairs of test data of `ends`."""
