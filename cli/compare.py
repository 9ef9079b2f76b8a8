"""Train one model with several guides; print one table."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pyrovae import registry
from pyrovae.cli._arguments import Names, RunFolder
from pyrovae.cli._compare_runs import compare_runs
from pyrovae.cli._fits import configs, default_names, fits, folder_of, frozen, require, require_named, settings_of
from pyrovae.cli._model_command import ModelCommand
from pyrovae.cli._options import Commas
from pyrovae.cli._output import print_json, print_note, print_table, print_text
from pyrovae.cli._runs import SEED, count
from pyrovae.errors import UsageError
from pyrovae.estimators import GAPS
from pyrovae.storage.jsonable import JsonMapping

if TYPE_CHECKING:
    from pyrovae.comparison import Comparison

T = TypeVar("T")

SECTION = "Fit"
PLACE = 2


@click.command(
    cls=ModelCommand,
    configs=configs,
    epilog="""\b
Examples:
  pyrovae compare --model vae --guides diagonal,iaf:steps=4 --seeds 0,1,2 --latent-dim 2
  pyrovae compare runs/vae-digits runs/vae-iaf""",
)
@fits(
    "Folder of the comparison [default: runs/compare-MODEL-DATA].",
    "comparison",
    click.option(
        "--guides",
        metavar="SPEC,...",
        type=Names("guides", several=True),
        help="Guide families (`pyrovae guides`), with options: diagonal,iaf:steps=4.",
    ),
    click.option(
        "--baseline",
        metavar="SPEC",
        type=Names("guides"),
        help="The guide to compare the others to [default: the first].",
    ),
    click.option(
        "--gaps",
        type=count(),
        help="Take log p(x) - ELBO of so many test data apart: log p(x), best of the family, amortization.",
    ),
    click.option(
        "--ais-steps",
        type=count(0),
        help=f"Temperatures of annealed importance sampling for --gaps; 0 leaves it out.  [default: {GAPS.ais_steps}]",
    ),
    click.option("--seeds", type=Commas(SEED), help="Seeds of the fits.  [default: 0]"),
)
@click.argument("runs", metavar="[RUN RUN ...]", nargs=-1, type=RunFolder())
def command(
    runs: tuple[Path, ...],
    model: str | None,
    guides: str | None,
    baseline: str | None,
    seeds: tuple[int, ...] | None,
    data: str | None,
    out: Path | None,
    overwrite: bool,
    gaps: int | None,
    ais_steps: int | None,
    freeze_model: str | None,
    trust: bool,
    config: Path | None,
    quiet: bool,
    as_json: bool,
    **options: object,
) -> None:
    """Train one model with several guides and seeds, alike in all else; print a table, write compare.json, .npz and
    .png. Or score RUNs that are there already on the same data, those of --data where it is given."""
    if runs:
        of_fits = {"model": model, "guides": guides, "baseline": baseline, "seeds": seeds, "out": out, "gaps": gaps}
        others = {"ais_steps": ais_steps, "freeze_model": freeze_model, "overwrite": overwrite or None, "data": data}
        return compare_runs(runs, settings_of(config, options | of_fits | others), trust, quiet, as_json)
    named = {"model": model, "guides": guides, "baseline": baseline, "seeds": seeds, "data": data, "out": out}
    of_run = {"freeze_model": freeze_model, "gaps": gaps, "ais_steps": ais_steps}
    settings = settings_of(config, options | named | of_run)
    model, specs, data, freeze_model = (
        settings.pop(name, None) for name in ("model", "guides", "data", "freeze_model")
    )
    if (model is None and freeze_model is None) or specs is None:
        raise UsageError(
            "compare needs --model NAME and --guides diagonal,iaf,... (`pyrovae models`, `pyrovae guides`); "
            "--freeze-model RUN names the model, too"
        )
    if "seed" in settings:
        raise UsageError("compare takes --seeds 0,1,2, not --seed")
    specs = registry.split_guides(specs) if isinstance(specs, str) else specs
    specs = _list("guides", specs, str, '["diagonal", "iaf"]')
    numbers = _list("seeds", settings.pop("seeds", (0,)), int, "[0, 1]")
    against = settings.pop("baseline", None)
    named_out = settings.get("out")
    require_named(settings, overwrite)
    of_gaps = {key: settings.pop(key) for key in ("gaps", "ais_steps") if key in settings}
    if "ais_steps" in of_gaps and "gaps" not in of_gaps:
        raise UsageError("--ais-steps has no effect without --gaps N: give both or none")
    require(model, specs, data, {key: settings[key] for key in settings if key != "out"}, freeze_model, trust)

    source = frozen(freeze_model, trust)
    variant = registry.variant(model or source.recipe.model)  # type: ignore[union-attr, arg-type]
    data_name = data or (variant.data if source is None else source.recipe.data) or "data"
    title = f"compare-{variant.name}"
    out = folder_of(settings, title, data_name)

    from pyrovae.comparison import Gaps, compare
    from pyrovae.comparison.begun import unfinished
    from pyrovae.runtime.progress import notes_only

    earlier = itertools.takewhile(lambda path: path != out, default_names(title, data_name))
    for path in unfinished(earlier, specs, numbers) if named_out is None else ():
        print_note(
            f"note: {path} holds such a comparison, not finished: this command with --out {path} goes on with it"
        )

    compared = compare(
        model,
        specs,
        numbers,
        data,
        out,
        overwrite,
        show=notes_only() if quiet else None,
        freeze_model=source,
        baseline=against,
        gaps=Gaps(of_gaps.pop("gaps"), **of_gaps) if of_gaps else None,
        **settings,
    )
    if as_json:
        return print_json({"out": str(out), **compared.to_json()})
    _print(compared, data_name)
    return click.echo("  ".join(str(path) for path in sorted(out.iterdir()) if path.is_file()))


def _print(found: "Comparison", data: str) -> None:
    setting, several = found.setting, len(found.table) > 1
    seeds = f"{len(setting['seeds'])} seeds" if len(setting["seeds"]) > 1 else f"seed {setting['seeds'][0]}"
    frozen = f", the model frozen from {setting['frozen']['run']}" if setting["frozen"] else ""
    _table(found, False, f"{found.model} on {data}, {seeds}{frozen}")
    note = f"{len(found.values['rows'])} test data, {setting['score_samples']} importance samples each"
    if several:
        note += f"; differences from {found.baseline}, datum by datum, with bootstrap 95 % intervals over the data"
    if len(setting["seeds"]) > 1:
        note += "; +- is the deviation over seeds"
    print_text(note)
    for line in doubts(found.runs):
        print_text(line)
    if setting["gaps"] is not None:
        click.echo()
        _table(found, True, f"log p(x) - ELBO taken apart, {len(found.values['gap_rows'])} of these data")


def doubts(runs: Sequence[JsonMapping]) -> list[str]:
    """What speaks against the figures of runs, in a sentence each, those of one sentence together."""
    told: dict[str, list[str]] = {}
    seeds = len({run["seed"] for run in runs}) > 1
    for run in runs:
        name = f"{run['guide']}, seed {run['seed']}" if seeds else run["guide"]
        if run["broken"]:
            told.setdefault(f"no figure is to be trusted: {'; '.join(run['broken'])}", []).append(name)
        elif run["trusted"] is False:
            told.setdefault(f"the log-likelihood {run['verdict']}", []).append(name)
    return [f"{'; '.join(names)}: {sentence}" for sentence, names in told.items()]


def _table(found: "Comparison", of_gaps: bool, title: str) -> None:
    """The columns that some guide has a figure for."""
    from pyrovae.comparison import COLUMNS

    several = len(found.table) > 1
    titles, rows = ["guide"], [[row["guide"]] for row in found.table]
    for column in (column for column in COLUMNS if column.shown and column.of_gaps == of_gaps):
        figures = [row[column.name] for row in found.table]
        if all(figure["mean"] is None for figure in figures):
            continue
        titles += [column.title, *(["difference"] if column.paired and several else [])]
        for cells, figure in zip(rows, figures, strict=True):
            cells.append(cell(figure, column.format, spread=column.paired))
            if column.paired and several:
                cells.append(difference(figure["difference"]))
    print_table(titles, rows, title)


def _list(key: str, value: object, item: type[T], example: str) -> list[T]:
    """A list that may come from a TOML file; raises UsageError where it is none."""
    if not isinstance(value, list | tuple) or not all(type(each) is item for each in value):
        raise UsageError(f"{key} = {value!r}: write {key} = {example} in the config file")
    return list(value)


def cell(figure: JsonMapping, spec: str, spread: bool) -> str:
    """`-20.33`, and with the deviation over seeds `-20.33 +- 0.12`."""
    if figure["mean"] is None:
        return "-"
    text, deviation = f"{figure['mean']:{spec}}", figure["deviation"]
    return f"{text} +- {deviation:{spec}}" if deviation is not None and spread else text


def difference(figure: JsonMapping | None) -> str:
    """`+0.120 [+0.081, +0.153]`, with the deviation over seeds behind the mean."""
    if figure is None or figure["mean"] is None:
        return "-"
    mean, deviation = f"{figure['mean']:+.3f}", figure["deviation"]
    spread = "" if deviation is None else f" +- {deviation:.3f}"
    low, high = figure["interval"] or (None, None)
    return f"{mean}{spread}" + ("" if low is None else f" [{low:+.3f}, {high:+.3f}]")
