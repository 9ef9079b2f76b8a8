"""`compare`: one model with several guides and seeds on the same data, in one table."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack, overload

import numpy as np
from torch import Tensor

from pyrovae import plots
from pyrovae.comparison.begun import FILE, Begun, path_of, require_free
from pyrovae.comparison.columns import COLUMNS, Value
from pyrovae.comparison.posteriors import Posteriors
from pyrovae.comparison.scored import Gaps, Scored
from pyrovae.comparison.table import Comparison, guide_rows, run_row, share_log_p, stacked
from pyrovae.config import Options, Settings
from pyrovae.data.raw import DataSpec
from pyrovae.errors import UsageError
from pyrovae.evaluation import AIS
from pyrovae.evaluation.per_datum import DRAWS
from pyrovae.pairs.pair import ModelSpec, Pair
from pyrovae.runs import captions
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.run import Run
from pyrovae.runtime.progress import Progress, progress
from pyrovae.runtime.ranks import require_alone
from pyrovae.storage import atomic
from pyrovae.storage.jsonable import Json
from pyrovae.training import freezing
from pyrovae.training.fit import fit, rehearse
from pyrovae.training.plan import recipe_for, variant_of
from pyrovae.training.typed import CompareSettings


@overload
def compare(
    model: str | None = None,
    guides: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    data: DataSpec | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    show: Progress | bool | None = None,
    freeze_model: str | Path | Run | None = None,
    baseline: str | None = None,
    gaps: Gaps | int | None = None,
    trust: bool = False,
    **settings: Unpack[CompareSettings],
) -> Comparison: ...


@overload
def compare(
    model: Callable[..., Pair],
    guides: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    data: DataSpec | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    show: Progress | bool | None = None,
    freeze_model: str | Path | Run | None = None,
    baseline: str | None = None,
    gaps: Gaps | int | None = None,
    trust: bool = False,
    **settings: object,
) -> Comparison: ...


def compare(  # type: ignore[misc]  # the options of a function are its own
    model: ModelSpec | None = None,
    guides: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    data: DataSpec | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    show: Progress | bool | None = None,
    freeze_model: str | Path | Run | None = None,
    baseline: str | None = None,
    gaps: Gaps | int | None = None,
    trust: bool = False,
    **settings: Unpack[CompareSettings],
) -> Comparison:
    """Fits `model` with each guide and each seed, alike in everything else, and scores the same test data.

    A seed sets weights, minibatches and noise: every guide sees the same minibatches. The split and its binarization
    are the same for all. Each run is kept in `out`/GUIDE-SEED, beside compare.json, compare.npz, compare.png and, where
    z has two dimensions, posteriors.png.

    pyrovae.compare("vae", ("diagonal", "iaf"), data="digits", latent_dim=2).table
    pyrovae.compare(guides=("diagonal", "iaf"), freeze_model="runs/vae-digits").table    # one model for all

    A comparison that was stopped goes on where it is called again with the same arguments.

    Args:
        model: the name of a variant, or your own `my_model.py:MyVAE`, a class or a function, that takes a `family`.
        guides: specs of guide families, `("diagonal", "iaf:steps=4")`.
        seeds: of the fits.
        data: as in `pyrovae.fit`.
        out: folder for the runs; None writes nothing.
        overwrite: replace the comparison that is in `out`.
        show: where progress goes.
        freeze_model: a run, or its directory, whose model all guides share: only guides are trained, and a difference
            in ELBO is one in KL(q(z | x) || p(z | x)); see `pyrovae.fit`.
        baseline: the guide to which the others are compared; None is the first.
        gaps: of how many test data the gap between ELBO and log p(x) is taken apart (`pyrovae.evaluation.gap`), or how;
            None of none. With one frozen model log p(x) is one number for all guides: the surest that any has found.
        trust: run the user's own Python file where the run of `freeze_model` names one.
        settings: as in `pyrovae.fit`, `help(pyrovae.CompareSettings)`.

    Raises:
        UsageError: for names, options or values that do not fit, before anything is fitted.
    """
    require_alone("compare")
    guides, seeds, folder = list(guides), list(seeds), None if out is None else Path(out)
    gaps = Gaps(gaps) if isinstance(gaps, int) else gaps
    baseline = _baseline(guides, seeds, baseline, gaps)
    source = None if freeze_model is None else freezing.source_of(freeze_model, trust)
    name = _require_fits(model, guides, seeds, data, source, settings)
    begun: dict[tuple[str, int], Begun] = {}
    if folder is not None:
        require_free(folder, overwrite)
        for guide, seed in itertools.product(guides, seeds) if not overwrite else ():
            wanted, _ = recipe_for(model, data, guide, source, {**settings, "seed": seed})
            begun[guide, seed] = Begun(path_of(folder, guide, seed), wanted, source, model)
    rehearse(model, guides, data, source, {**settings, "seed": seeds[0]})
    rows: dict[tuple[str, int], dict[str, Value]] = {}
    errors: dict[tuple[str, int], Tensor] = {}
    trusts: dict[tuple[str, int], Json] = {}
    drawn = Posteriors()
    annealed: AIS | None = None
    with show if isinstance(show, Progress) else progress(show) as shown:
        for guide in guides:
            for seed in seeds:
                shown.line(f"{name} with {guide}, seed {seed}")
                if (guide, seed) in begun and begun[guide, seed].is_there:
                    run = begun[guide, seed].gone_on(data, settings, shown, trust)
                else:
                    path = None if folder is None else path_of(folder, guide, seed)
                    given: Options = {**settings, "seed": seed}
                    run = fit(model, data, guide, path, overwrite, shown, source, **given)
                if run.outcome.stopped == "interrupted":
                    raise KeyboardInterrupt
                if seed == seeds[0] and folder is not None:
                    drawn.add(run)
                scored = Scored(run, gaps, annealed, shown)
                rows[guide, seed] = {column.name: column.of(scored) for column in COLUMNS}
                trusts[guide, seed] = scored.trust
                if source is not None and scored.gap is not None:
                    errors[guide, seed] = scored.gap.standard_error
                    annealed = scored.gap.found.get("ais")  # type: ignore[assignment]
    if source is not None:
        share_log_p(rows, errors)
    runs = [run_row(guide, seed, row) | trusts[guide, seed] for (guide, seed), row in rows.items()]
    arrays = {column.name: stacked(column.name, rows, guides, seeds) for column in COLUMNS}
    values = {name: array for name, array in arrays.items() if array is not None}
    table = guide_rows(guides, baseline, runs, values)
    named = {"guides": np.array(guides), "seeds": np.array(seeds), "rows": scored.rows.numpy()}
    if scored.gap_rows is not None:
        named["gap_rows"] = scored.gap_rows.numpy()
    compared = Comparison(name, baseline, runs, table, _setting(run, seeds, gaps), values | named)
    if folder is not None:
        atomic.write_arrays(folder / "compare.npz", compared.values)
        plots.comparison(
            compared.table,
            folder / "compare.png",
            baseline,
            captions.subject(run) + (", one frozen model" if source is not None else ""),
            len(scored.rows),
            len(seeds),
        )
        drawn.draw(guides, folder / "posteriors.png", source is not None)
        atomic.write_json(folder / FILE, compared.to_json())
    return compared


def _baseline(guides: list[str], seeds: list[int], baseline: str | None, gaps: Gaps | None) -> str:
    """The guide to which the others are compared; raises UsageError for what makes no comparison."""
    if not guides or not seeds:
        raise UsageError("compare needs at least one guide and one seed")
    for what, names in (("guide", guides), ("seed", [str(seed) for seed in seeds])):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise UsageError(f"{what} {', '.join(sorted(twice))} is named twice: name each once")
    baseline = guides[0] if baseline is None else baseline
    if baseline not in guides:
        raise UsageError(f"baseline {baseline} is none of the guides {', '.join(guides)}: name one of them")
    if gaps is not None and gaps.data < 1:
        raise UsageError(f"gaps = {gaps.data}: give the number of test data, at least 1")
    return baseline


def _require_fits(
    model: ModelSpec | None,
    guides: list[str],
    seeds: list[int],
    data: DataSpec | None,
    source: Run | None,
    settings: Settings,
) -> str:
    """The name of the model; raises UsageError where a guide or an option does not fit it."""
    spec = model if source is None else source.recipe.model
    if spec is None:
        raise UsageError("compare needs a model: a name, your own my_model.py:MyVAE, or freeze_model=RUN")
    variant = variant_of(spec)
    if variant is None or variant.guide is None:
        name = "a Pair" if variant is None else variant.name
        raise UsageError(f"{name} brings a guide of its own: give it a parameter `family` to compare guides")
    if data is None and not variant.by_name:
        raise UsageError("a pair of your own needs data: pyrovae.compare(MyVAE, guides, data=x)")
    for guide in guides:
        for seed in seeds:
            options = {**settings, "seed": seed}
            if source is None:
                Recipe.of(variant, guide, settings=options)
            else:
                freezing.recipe_of(source, model, guide, data, options)
    return variant.name


def _setting(run: Run, seeds: list[int], gaps: Gaps | None) -> Json:
    """What all runs have in common, by the last of them."""
    return {
        "data": run.description,
        "data_name": run.recipe.data,
        **run.recipe.training.model_dump(exclude={"seed"}),
        "options": None if run.recipe.options is None else run.recipe.options.model_dump(),
        "seeds": seeds,
        "draws": DRAWS,
        "gaps": None if gaps is None else dataclasses.asdict(gaps),
        "frozen": None if run.recipe.frozen is None else dict(run.recipe.frozen),
    }
