"""The tables of docs/measured/results.md, from what is kept beside the recipes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyrovae.reproduction import recipes, results
from pyrovae.reproduction.figures import FIGURES, shown, spread
from pyrovae.reproduction.recipes import Row, Table
from pyrovae.storage.jsonable import JsonMapping

MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

BUDGETS = {"short": "", "full": "full budget: "}


def filled(text: str) -> str:
    """A text in which what stands between `<!-- table: NAME -->` and `<!-- end -->` is the table of that name."""
    return MARKED.sub(lambda found: found[1] + table(found[2]) + found[3], text)


def table(name: str) -> str:
    """A table in Markdown: a row for each recipe and budget of which something is kept; a sentence where nothing is."""
    about = recipes.tables()[name]
    titles = [
        "",
        *(f"{FIGURES[figure].title}, published" for figure in published(about)),
        *(FIGURES[figure].title for figure in about.columns),
        "K, data",
        "binarization",
        "seeds",
        "epochs (steps)",
        "minutes",
        "recipe",
    ]
    lines = [titles, ["---"] * len(titles)]
    for each in about.rows:
        (recipe,) = recipes.find(each)
        kept = results.kept(each)
        for budget, prefix in BUDGETS.items():
            if of := results.of_budget(kept, budget):
                lines.append(_row(recipe, about, of, prefix))
    if len(lines) == 2:
        return "Nothing of it has been run.\n"
    source = f"\nPublished: {about.source}.\n" if about.source else ""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + source


def published(about: Table) -> list[str]:
    """The figures of a table that any of its rows has in print, in the order of the columns."""
    known = {figure for name in about.rows for figure in recipes.find(name)[0].experiment.published}
    return [figure for figure in about.columns if figure in known]


def _row(recipe: Row, about: Table, of: Sequence[JsonMapping], prefix: str) -> list[str]:
    figures, in_print = of[0]["figures"], recipe.experiment.published
    trained, scored = results.minutes(of)
    epochs = sorted({each["epochs"] for each in of})
    several = f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
    return [
        prefix + recipe.experiment.row,
        *(shown(figure, in_print.get(figure)) for figure in published(about)),
        *(spread(figure, results.values(of, figure)) for figure in about.columns),
        f"{figures['nll_samples']:,}, {figures['nll_data']:,}" if "nll_data" in figures else "-",
        of[0]["binarization"] or "-",
        ", ".join(str(each["seed"]) for each in of),
        f"{several} ({of[0]['steps']:,})",
        f"{trained:.1f} + {scored:.1f}",
        f"`{recipe.name}`",
    ]
