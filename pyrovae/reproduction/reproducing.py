"""`reproduce`: a recipe fitted and scored for each seed; what is done already is not done again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyrovae import data as data_package
from pyrovae import registry
from pyrovae.config import Settings
from pyrovae.errors import UsageError, option
from pyrovae.reproduction.recipes import Budget, Row, Score
from pyrovae.reproduction.scoring import scores
from pyrovae.runs import directory
from pyrovae.runs.environment import environment
from pyrovae.runs.loading import load
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.run import Run
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.ranks import require_alone
from pyrovae.storage import atomic
from pyrovae.storage.jsonable import Json, JsonMapping
from pyrovae.training.fit import fit
from pyrovae.training.resuming import FREE


def reproduce(
    recipe: Row,
    out: Path,
    show: Progress,
    budget: Budget = "short",
    seeds: Sequence[int] | None = None,
    data: str | None = None,
    overwrite: bool = False,
    **settings: object,
) -> list[Json]:
    """Fits and scores a recipe once for each seed.

    A seed has a run directory, `OUT/NAME/BUDGET-seed-S`, and its figures in a file beside it, `BUDGET-seed-S.json`. A
    fit that was stopped goes on, and one that is done is not done again.

    Args:
        recipe: the row.
        out: where runs of recipes lie.
        show: where progress goes.
        budget: `short`, the recipe as it stands; `full`, the published budget; `quick`, a trial on embedded data.
        seeds: None takes those of the recipe; of `quick` its first.
        data: instead of the recipe's data; not for `quick`.
        overwrite: begin anew where there is a run of other options.
        settings: where the data are and where to compute: `data_root`, `download`, `device`.

    Returns:
        What is in the file of each seed: `name`, `budget`, `seed`, `figures`, `curve` (epoch and held-out ELBO), counts
        and seconds of training and scoring, `recipe` (what was fitted, and how), `score` and `environment`.

    Raises:
        UsageError: where a run of other options lies in its place, or data that a recipe names by a path are not found.
        PyrovaeError: as `fit` and the scores.
    """
    require_alone("reproduce")
    chosen = recipe.experiment.seeds if seeds is None else tuple(seeds)
    if budget == "quick":
        chosen = chosen[:1]
    return [_one(recipe, out, show, budget, seed, data, overwrite, settings) for seed in chosen]


def _one(
    recipe: Row,
    out: Path,
    show: Progress,
    budget: Budget,
    seed: int,
    data: str | None,
    overwrite: bool,
    settings: Settings,
) -> Json:
    options = recipe.options(budget, seed)
    model, guide, source = options.pop("model"), options.pop("guide", None), options.pop("data")
    source = source if budget == "quick" else _data(data or source, settings.get("data_root"), recipe.name)
    folder = out / recipe.name / f"{budget}-seed-{seed}"
    file = folder.with_name(f"{folder.name}.json")
    wanted = Recipe.of(registry.variant(model), guide, source, options)

    where = {key: value for key, value in settings.items() if value is not None}
    there = (folder / directory.RUN).is_file()
    if there and not _same(folder, wanted):
        if not overwrite:
            anew = option("overwrite", True)
            raise UsageError(f"{folder} holds a run of other options: give {anew}, or another {option('out')}")
        there = False
    if there:
        run = _gone_on(folder, where, show)
    else:
        file.unlink(missing_ok=True)
        run = fit(model, source, guide, folder, overwrite, show, **options, **where)
    if run.outcome.stopped == "interrupted":
        raise KeyboardInterrupt
    score = recipe.score(budget)
    if file.is_file():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if found["score"] == score.model_dump(mode="json"):
            return found
    found = _figures(recipe, budget, seed, run, score, show)
    atomic.write_json(file, found)
    return found


def _data(name: str, root: str | Path | None, recipe: str) -> str:
    """A name of a data set, or a path: as it is, or below the data root."""
    if name in data_package.sources() or Path(name).exists():
        return name
    if root is not None and (Path(root) / name).exists():
        return str(Path(root) / name)
    where = "" if root is None else f" in {root}"
    raise UsageError(
        f"{recipe} reads the folder {name}, and there is none{where}: give {option('data', 'PATH')}, or "
        f"{option('data_root')}, the folder that holds it"
    )


def _same(folder: Path, wanted: Recipe) -> bool:
    """Whether the run in a directory is that of the wanted options, but for those that may change."""
    there = directory.content(folder)["recipe"]
    if wanted.model is None or there["model"] != wanted.model:
        return False
    # Parsed, so that an option that is newer than the run has its default.
    there = Recipe.from_json(there, registry.variant(wanted.model)).to_json()
    return comparable(there) == comparable(wanted.to_json())


def comparable(recipe: JsonMapping) -> Json:
    """The recipe of a fit as JSON, without what may change and without the folder of the data."""
    free = {*FREE} - {"epochs"}
    parts = {"model": recipe["model"], "guide": recipe["guide"], "data": Path(recipe["data"]).name}
    for name in ("options", "data_options", "training"):
        parts[name] = {key: value for key, value in (recipe[name] or {}).items() if key not in free}
    return parts


def _gone_on(folder: Path, where: Settings, show: Progress) -> Run:
    """The run that lies there, trained to its end."""
    if directory.content(folder)["status"] != "done":
        return fit(resume=folder, show=show, **where)
    run = load(folder, device=where.get("device", "auto"))
    if "data_root" in where:
        run.move_data(where["data_root"])
    return run


def _binarization(run: Run) -> str | None:
    """How pixels became binary, or `none` for grayscale; None where there are no pixels."""
    x = run.fields["x"]
    if not x.is_image:
        return None
    drawn = run.description.get("binarize")
    return "static" if x.kind == "binary" and drawn in (None, "none") else drawn


def _figures(recipe: Row, budget: Budget, seed: int, run: Run, score: Score, show: Progress) -> Json:
    started = time.perf_counter()
    found, outcome = scores(run, score, seed, show), run.outcome
    return {
        "name": recipe.name,
        "budget": budget,
        "seed": seed,
        "figures": found,
        "score": score.model_dump(mode="json"),
        "data": Path(run.description["source"]).name,
        "binarization": _binarization(run),
        "recipe": comparable(run.recipe.to_json()),
        "curve": [[row["epoch"], row["valid_elbo"]] for row in run.metrics],
        "epochs": outcome.epochs,
        "steps": outcome.steps,
        "best_epoch": outcome.best_epoch,
        "stopped": outcome.stopped,
        "parameters": outcome.parameters,
        "train_seconds": outcome.train_seconds,
        "score_seconds": time.perf_counter() - started,
        "engine": outcome.engine,
        "environment": environment(),
    }
