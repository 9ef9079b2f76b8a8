"""posteriors.png: what each guide makes of the true posterior of a few test data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pyrovae import evaluation, plots
from pyrovae.evaluation.chunks import evenly
from pyrovae.run import Run

COLUMNS = 5
"""Test data, evenly spaced."""


class Posteriors:
    """Gathers the pairs of a comparison, and the few data on which they are drawn.

    The posterior of a guide is that of the model that was trained with it: where each guide has a model of its own,
    the filled contours differ from row to row.
    """

    def __init__(self, run: Run) -> None:
        self.rows = evenly(run.data.size("test"), COLUMNS)
        self.batch: tuple[Tensor, ...] = tuple(tensor[self.rows] for tensor in run.split("test"))
        # Of sentences a grid would take minutes: each point is a pass over the words.
        text = run.data.lengths("test") is not None
        self.site = None if text else evaluation.two_dimensional(run.pair, self.batch)
        self.pairs = [run.pair]

    def add(self, run: Run) -> None:
        """One more row."""
        self.pairs.append(run.pair)

    def draw(self, guides: Sequence[str], path: Path, frozen: bool) -> None:
        """Writes the picture where z has two dimensions; nothing else."""
        if self.site is None:
            return
        data = [tuple(tensor[i : i + 1] for tensor in self.batch) for i in range(len(self.rows))]
        found = [evaluation.posteriors(self.pairs, datum) for datum in data]
        title = "the true posterior of one frozen model" if frozen else "the true posterior of each guide's own model"
        names = [f"test datum {row}" for row in self.rows.tolist()]
        axes = (f"{self.site}₁", f"{self.site}₂")
        plots.posteriors(list(zip(*found, strict=True)), path, guides, names, axes, title)
