"""What was obtained: figures that are kept beside the recipes, and those of a run of one's own."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from pyrovae.reproduction.figures import FIGURES, spread
from pyrovae.reproduction.recipes import FOLDER, Row, Table
from pyrovae.storage.jsonable import Json, JsonMapping

OBTAINED = FOLDER.joinpath("obtained")
"""A file a recipe, NAME.json: the figures of docs/measured/results.md."""


def kept(name: str) -> list[Json]:
    """What is kept of a recipe, an object for each budget and seed; none where nothing is."""
    path = OBTAINED.joinpath(f"{name}.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def lying(out: Path, name: str) -> list[Json]:
    """The same of runs of one's own."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((out / name).glob("*-seed-*.json"))]


def of_budget(results: Sequence[JsonMapping], budget: str) -> list[JsonMapping]:
    """Those of a budget."""
    return [each for each in results if each["budget"] == budget]


def values(results: Sequence[JsonMapping], figure: str) -> list[float]:
    """A figure of each seed that has it."""
    return [each["figures"][figure] for each in results if each["figures"].get(figure) is not None]


def all_values(table: Table, results: Sequence[JsonMapping]) -> dict[str, list[float]]:
    """The figures of a table, each of all seeds."""
    return {figure: values(results, figure) for figure in table.columns}


def line(recipe: Row, table: Table, results: Sequence[JsonMapping]) -> list[str]:
    """A row: its name, the first figure published, and the figures obtained."""
    first = table.columns[0]
    published = recipe.experiment.published.get(first)
    cells = [spread(figure, values(results, figure)) for figure in table.columns]
    return [recipe.experiment.row, "-" if published is None else spread(first, [published]), *cells]


def heads(table: Table) -> list[str]:
    """The titles of `line`."""
    return ["", f"{FIGURES[table.columns[0]].title}, published", *(FIGURES[figure].title for figure in table.columns)]


def minutes(results: Sequence[JsonMapping]) -> tuple[float, float]:
    """Of training and of scoring, the mean over seeds."""
    return tuple(  # type: ignore[return-value]
        statistics.fmean(each[name] for each in results) / 60 for name in ("train_seconds", "score_seconds")
    )
