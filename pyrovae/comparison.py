"""`compare`: one model with several guides and seeds on the same data, in one table."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyrovae import evaluation, files, plots, registry, store
from pyrovae.errors import UsageError
from pyrovae.evaluation.chunks import evenly
from pyrovae.fitting import fit
from pyrovae.progress import Progress, progress
from pyrovae.recipe import Recipe
from pyrovae.run import Run

FIGURES = ("elbo", "log_likelihood", "rate", "active_units", "seconds", "parameters")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What several guides reach on one model.

    Attributes:
        model: the variant.
        runs: a row a guide and seed: `guide`, `seed`, and the figures: `elbo`, `log_likelihood`, `rate` (nats a datum,
            test split), `active_units`, `seconds` of training, `parameters`.
        table: a row a guide: `guide`, and each figure as `{"mean", "deviation"}` over the seeds; the deviation of one
            seed is None.
        setting: what was the same for all.
    """

    model: str
    runs: list[dict[str, Any]]
    table: list[dict[str, Any]]
    setting: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As compare.json."""
        return dataclasses.asdict(self)


def compare(
    model: str,
    guides: Sequence[str],
    seeds: Sequence[int] = (0,),
    data: Any = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    show: Progress | bool | None = None,
    **settings: Any,
) -> Comparison:
    """Fits `model` with each guide and each seed, alike in everything else, and scores the test split.

    A seed sets weights, minibatches and noise; the split and its binarization are the same for all. Each run is kept
    in `out`/GUIDE-SEED, beside compare.json and compare.png.

    Args:
        model: the name of a variant, or your own `my_model.py:MyVAE` that takes a `family`.
        guides: specs of guide families, `("diagonal", "iaf:steps=4")`.
        seeds: of the fits.
        data: as in `pyrovae.fit`.
        out: folder for the runs; None writes nothing.
        overwrite: replace the comparison that is in `out`.
        show: where progress goes.
        settings: as in `pyrovae.fit`.

    Raises:
        UsageError: for names, options or values that do not fit, before anything is fitted.
    """
    guides, seeds, folder = list(guides), list(seeds), None if out is None else Path(out)
    if not guides or not seeds:
        raise UsageError("compare needs at least one guide and one seed")
    for what, given in (("guide", guides), ("seed", [str(seed) for seed in seeds])):
        twice = {item for item in given if given.count(item) > 1}
        if twice:
            raise UsageError(f"{what} {', '.join(sorted(twice))} is named twice: name each once")
    variant = registry.variant(model)
    if variant.guide is None:
        raise UsageError(f"{model} brings a guide of its own: give it a parameter `family` to compare guides")
    for guide in guides:
        for seed in seeds:
            Recipe.of(variant, guide, settings={**settings, "seed": seed})
    if folder is not None:
        _require_free(folder, overwrite)
    runs = []
    with show if isinstance(show, Progress) else progress(show) as shown:
        for guide in guides:
            for seed in seeds:
                shown.line(f"{model} with {guide}, seed {seed}")
                name = re.sub(r"[^=.\w-]+", "_", f"{guide}-{seed}")
                path = None if folder is None else folder / name
                run = fit(model, data, guide, path, overwrite, shown, **{**settings, "seed": seed})
                if run.results["stopped"] == "interrupted":
                    raise KeyboardInterrupt
                runs.append({"guide": guide, "seed": seed, **_figures(run)})
    setting = {
        "data": run.description,
        "data_name": run.recipe.data,
        **run.recipe.training.model_dump(exclude={"seed"}),
    }
    setting |= {"options": None if run.recipe.options is None else run.recipe.options.model_dump(), "seeds": seeds}
    found = Comparison(model, runs, [_row(guide, runs) for guide in guides], setting)
    if folder is not None:
        files.write_json(folder / "compare.json", found.to_json())
        plots.comparison(found.table, folder / "compare.png")
    return found


def _figures(run: Run) -> dict[str, float]:
    """All of the same test data: those whose log-likelihood `fit` has estimated."""
    batch = run.split("test")
    chosen = evenly(len(batch[0]), run.recipe.training.score_limit)
    batch = tuple(tensor[chosen] for tensor in batch)
    scores = evaluation.elbo(run.pair, batch)
    return {
        "elbo": scores["elbo"],
        "log_likelihood": run.results["log_likelihood"],
        "rate": scores["rate"],
        "active_units": sum(evaluation.diagnose(run.pair, batch).active_units.values()),
        "seconds": run.results["train_seconds"],
        "parameters": run.results["parameters"],
    }


def _row(guide: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"guide": guide}
    for name in FIGURES:
        values = [run[name] for run in runs if run["guide"] == guide]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        row[name] = {"mean": statistics.fmean(values), "deviation": deviation}
    return row


def _require_free(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file: give a folder for the comparison")
    if not (folder / "compare.json").is_file() and not all(store.is_run(each) for each in folder.iterdir()):
        raise UsageError(f"{folder} exists and holds no comparison: give a new folder")
    if not overwrite:
        raise UsageError(f"there is a comparison in {folder} already: take another --out, or --overwrite")
