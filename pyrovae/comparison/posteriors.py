"""posteriors.png: what each guide makes of the true posterior of a few test data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pyrovae import evaluation, plots
from pyrovae.evaluation.chunks import evenly
from pyrovae.pairs.pair import Pair
from pyrovae.runs.run import Run

FEW = 5
"""Test data, evenly spaced."""


class Posteriors:
    """Gathers a pair of each guide, and the few data on which they are drawn.

    The posterior beside a guide is that of the model that was trained with it: where each guide has a model of its
    own, the filled contours differ from row to row.
    """

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.rows: list[int] = []
        self.batch: tuple[Tensor, ...] = ()
        self.site: str | None = None

    def add(self, run: Run) -> None:
        """One more row."""
        if not self.pairs:
            chosen = evenly(run.data.size("test"), FEW)
            self.rows, self.batch = chosen.tolist(), tuple(tensor[chosen] for tensor in run.split("test"))
            # Of sentences a grid would take minutes: each point is a pass over the words.
            if run.data.lengths("test") is None:
                self.site = evaluation.two_dimensional(run.pair, self.batch)
        self.pairs.append(run.pair)

    def draw(self, guides: Sequence[str], path: Path, frozen: bool) -> None:
        """Writes the picture where z has two dimensions; else there is none."""
        if self.site is None:
            path.unlink(missing_ok=True)  # of a comparison that is replaced
            return
        data = [tuple(tensor[i : i + 1] for tensor in self.batch) for i in range(len(self.rows))]
        found = [evaluation.posteriors(self.pairs, datum) for datum in data]
        title = "the true posterior of one frozen model" if frozen else "the true posterior of each guide's own model"
        names = [f"test datum {row}" for row in self.rows]
        axes = (f"{self.site}₁", f"{self.site}₂")
        plots.posteriors(list(zip(*found, strict=True)), path, guides, names, axes, title)
