"""Run recipes of published figures, and print ours beside them."""

from pathlib import Path
from typing import Any

import click

from pyrovae.cli._arguments import Data
from pyrovae.cli._options import Commas, debug_option, json_option
from pyrovae.cli._output import print_json, print_table, print_text
from pyrovae.cli._runs import SEED, device_option
from pyrovae.data.catalogue import require_there
from pyrovae.errors import UsageError

SECTION = "Fit"
PLACE = 3

TOLD = {
    "short": "the recipe's budget",
    "full": "the published budget",
    "quick": "--quick on embedded data, which shows that it runs and nothing else",
}
"""Of a budget, what the figures rest on."""


@click.command(
    epilog="""\b
Examples:
  pyrovae reproduce iwae-iwae-5 --data-root DIR
  pyrovae reproduce quadrants --quick

`pyrovae reproduce --list` shows all recipes and tables."""
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--list", "list_all", is_flag=True, help="List recipes by table, with published and obtained figures.")
@click.option("--quick", is_flag=True, help="One epoch on few embedded data: tries that a recipe runs, no result.")
@click.option("--full", is_flag=True, help="The published budget, for a GPU, where the recipe's own is shorter.")
@click.option("--seeds", type=Commas(SEED), help="Seeds of the fits [default: the recipe's].")
@click.option("--data", metavar="DATA", type=Data(), help="Other data than the recipe's: a name, or a path.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder that holds the data sets [default: data].")
@click.option("--download", is_flag=True, help="Fetch missing files into the data root.")
@device_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("runs/reproduce"),
    show_default=True,
    help="Where the runs go; those that lie there are not done again.",
)
@click.option("--overwrite", is_flag=True, help="Replace runs that lie there with other options.")
@click.option("--quiet", is_flag=True, help="No progress; notes stay.")
@json_option
@debug_option
def command(
    names: tuple[str, ...],
    list_all: bool,
    quick: bool,
    full: bool,
    seeds: tuple[int, ...] | None,
    data: str | None,
    data_root: Path | None,
    download: bool,
    device: str,
    out: Path,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run recipes of published figures (a name, or all rows of a table) and print what was obtained beside them."""
    if list_all:
        if names:
            raise UsageError("--list shows all recipes: leave out the names")
        return _list(as_json)
    if not names:
        raise UsageError("which recipe, or table of recipes? `pyrovae reproduce --list` shows them")
    if quick and (full or data):
        raise UsageError("--quick is a trial on embedded data: leave out --full and --data")
    if seeds == ():
        raise UsageError("--seeds is empty: give numbers with commas between them, 0,1,2")

    from pyrovae.reproduction import recipes, results

    budget: recipes.Budget = "quick" if quick else "full" if full else "short"
    chosen = {recipe.name: recipe for name in names for recipe in recipes.find(name)}
    for recipe in chosen.values():
        recipe.require_budget(budget)  # told before any other is run, and before torch is imported
    if data is not None:
        require_there(data)

    from pyrovae.reproduction.reproducing import reproduce
    from pyrovae.runtime.progress import notes_only, progress

    found: dict[str, list[dict[str, Any]]] = {}
    for name, recipe in chosen.items():
        with notes_only() if quiet else progress() as show:
            show.line(f"recipe {name}")
            where = {"data_root": data_root, "download": download or None, "device": device}
            found[name] = reproduce(recipe, out, show, budget, seeds, data, overwrite, **where)
    if as_json:
        return print_json(found)
    for table in dict.fromkeys(recipes.table_of(name) for name in found):
        about = recipes.tables()[table]
        rows = [results.line(chosen[name], about, found[name]) for name in about.rows if name in found]
        print_table(results.heads(about), rows, f"{about.title}; {about.data}")
    every = [each for one in found.values() for each in one]
    trained, scored = (sum(each[key] for each in every) for key in ("train_seconds", "score_seconds"))
    told = TOLD[budget]
    return print_text(f"nats a datum, {told}; {trained:.0f} s training, {scored:.0f} s scoring; runs in {out}")


def _list(as_json: bool) -> None:
    """All recipes; imports no torch."""
    from pyrovae.reproduction import figures, recipes, results

    listed: list[dict[str, Any]] = []
    for table, about in recipes.tables().items():
        rows = []
        for name in about.rows:
            (recipe,) = recipes.find(name)
            first, kept = about.columns[0], results.kept(name)
            obtained = {budget: results.of_budget(kept, budget) for budget in ("short", "full")}
            listed.append(
                {
                    "name": name,
                    "table": table,
                    "row": recipe.experiment.row,
                    "published": recipe.experiment.published,
                    "source": about.source,
                    "obtained": {budget: results.all_values(about, of) for budget, of in obtained.items() if of},
                }
            )
            cells = [figures.spread(first, results.values(of, first)) for of in obtained.values()]
            rows.append([name, *results.line(recipe, about, [])[:2], *cells])
        if not as_json:
            title = figures.FIGURES[about.columns[0]].title
            heads = ["", "", f"{title}, published", "obtained, recipe's budget", "published budget"]
            print_table(heads, rows, f"{table}: {about.title}; {about.data}")
            click.echo()
    if as_json:
        print_json(listed)
