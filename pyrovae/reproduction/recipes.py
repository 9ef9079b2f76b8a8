"""Recipes of published figures: a TOML file a row, with options of `fit` and a table `[experiment]` of what is printed.

To add a row, name it in `published/tables.toml` and add `published/name.toml`: options of `pyrovae fit` at the top
level (the short budget), and

    [experiment]
    row = "IWAE, k = 5"                 # its first cell in docs/measured/results.md
    seeds = [0, 1, 2]                   # [0] where this is left out
    score.samples = 5000                # see Score
    published.nll = 85.54               # see pyrovae.reproduction.figures
    full = { epochs = 3280 }            # options that the published budget changes; none: there is one budget
    quick = { particles = 2 }           # options that `quick` changes on top of its own

`pyrovae fit --config published/name.toml` runs the options, too.
"""

from __future__ import annotations

import functools
import importlib.resources
import tomllib
from importlib.resources.abc import Traversable
from typing import Any, Literal

from pydantic import Field as Option

from pyrovae import registry
from pyrovae.config import Config, Options, Settings, parse
from pyrovae.errors import UsageError, did_you_mean, option

Budget = Literal["short", "full", "quick"]

FOLDER: Traversable = importlib.resources.files("pyrovae.reproduction.published")


class Score(Config):
    """What is computed of a trained pair."""

    samples: int = Option(1000, ge=1, description="K, importance samples a datum of the NLL")
    limit: int | None = Option(None, ge=1, description="test data of the NLL, evenly spaced; None: all")
    elbo_draws: int = Option(1, ge=1, description="draws of z a datum of the ELBO")
    ais_steps: int = Option(0, ge=0, description="temperatures of annealed importance sampling; 0 leaves it out")
    ais_limit: int = Option(100, ge=1, description="test data of annealed importance sampling, evenly spaced")
    chains: int = Option(16, ge=1, description="of annealed importance sampling, a datum")


class Table(Config):
    """A table of docs/measured/results.md."""

    title: str
    rows: tuple[str, ...] = Option(min_length=1, description="names of the recipes, in the order of print")
    data: str = Option(description="the data and their binarization, in words")
    source: str = Option("", description="where the published figures are from")
    columns: tuple[str, ...] = Option(
        min_length=1, description="figures of `pyrovae.reproduction.figures`; the first is the one that is compared"
    )


class Experiment(Config):
    """The table `[experiment]` of a recipe; see the module."""

    row: str
    seeds: tuple[int, ...] = Option((0,), min_length=1)
    per_seed: tuple[str, ...] = Option((), description="options that take the value of the seed, too")
    published: dict[str, float] = Option(default_factory=dict)
    score: Score = Score()
    full: dict[str, Any] | None = None
    quick: dict[str, Any] = Option(default_factory=dict)


class Row:
    """A row of a table, which can be run: a recipe.

    Attributes:
        name: of its file.
        settings: options of `fit`, with `model`, `data` and `guide`.
        experiment: what is printed.
    """

    def __init__(self, name: str, settings: Settings, experiment: Experiment) -> None:
        self.name = name
        self.settings = dict(settings)
        self.experiment = experiment

    def require_budget(self, budget: Budget) -> None:
        """Raises UsageError where the recipe has no full budget of its own, and that is asked for."""
        if budget == "full" and self.experiment.full is None:
            full = option("full", True, python="budget='full'")
            raise UsageError(f"{self.name} has one budget: leave out {full}")

    def options(self, budget: Budget, seed: int) -> Options:
        """Options of `fit` for a budget and a seed.

        Raises:
            UsageError: where the recipe has no full budget of its own.
        """
        options = self.settings | {"seed": seed} | dict.fromkeys(self.experiment.per_seed, seed)
        self.require_budget(budget)
        if budget == "full" and self.experiment.full is not None:
            return options | self.experiment.full
        if budget == "quick":
            return options | quick(options) | self.experiment.quick
        return options

    def score(self, budget: Budget) -> Score:
        """What is computed."""
        score = self.experiment.score
        if budget != "quick":
            return score
        few = {"samples": 5, "limit": 16, "elbo_draws": min(score.elbo_draws, 2), "ais_limit": 2, "chains": 2}
        return score.model_copy(update=few | {"ais_steps": min(score.ais_steps, 5)})


def quick(settings: Settings) -> Options:
    """What the budget `quick` changes: one epoch over few of the model's embedded data, so that it needs no file."""
    static = settings.get("data") == "static-mnist"
    return {
        "data": registry.variant(settings["model"]).data,
        **({"binarize": "static"} if static else {}),
        "held_out": 0.1,
        "limit_train": 128,
        "epochs": 1,
        "batch_size": min(settings.get("batch_size", 128), 64),
        "compile": False,
        "score_samples": 2,
        "score_limit": 16,
    }


def names() -> list[str]:
    """Of all recipes, in the order of print."""
    return [name for table in tables().values() for name in table.rows]


def find(name: str) -> list[Row]:
    """The recipe of a name, or all rows of a table; raises UsageError for neither."""
    if name in tables():
        return [_read(row) for row in tables()[name].rows]
    if name not in names():
        known = [*tables(), *names()]
        raise UsageError(f"pyrovae reproduce --list shows no recipe '{name}'{did_you_mean(name, known)}")
    return [_read(name)]


def table_of(name: str) -> str:
    """The table in which a recipe is a row."""
    return next(table for table, found in tables().items() if name in found.rows)


@functools.cache
def tables() -> dict[str, Table]:
    """The tables, in the order of print."""
    found = tomllib.loads(FOLDER.joinpath("tables.toml").read_text(encoding="utf-8"))
    return {name: parse(Table, values, f"table {name}") for name, values in found.items()}


@functools.cache
def _read(name: str) -> Row:
    settings = tomllib.loads(FOLDER.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    return Row(name, settings, parse(Experiment, settings.pop("experiment"), f"recipe {name}"))
