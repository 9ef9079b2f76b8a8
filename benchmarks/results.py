"""Keeps what `pyrovae reproduce` has found, writes docs/measured/results.md: `python -m benchmarks.results RUNS`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from pyrovae import plots
from pyrovae.reproduction import recipes, report, results
from pyrovae.storage import atomic

ROOT = Path(__file__).parent.parent

MEASURED = ROOT / "docs" / "measured"

IMAGES = MEASURED / "images"

CURVES = {"iwae": "nll", "guides": "elbo", "priors": "nll", "resnet": "elbo"}
"""Tables whose learning curves are drawn, and the published figure that is drawn beside them."""

PICTURES = {"quadrants-1-cvae": "completions", "taught-conv": "samples", "ssvae-3000": "classes"}
"""Recipes whose samples.png is kept, that of their first seed, and its name in docs/measured/images/."""

POINTS = 60
"""Of a curve, at most."""


@click.command()
@click.argument("runs", type=click.Path(path_type=Path, exists=True), required=False)
def main(runs: Path | None) -> None:
    """Takes the figures that lie in RUNS into published/obtained, and writes tables and curves anew."""
    if runs is not None:
        for name in recipes.names():
            found = [each for each in results.lying(runs, name) if each["budget"] != "quick"]
            if found:
                keep(name, found)
                (recipe,) = recipes.find(name)
                picture = runs / name / f"short-seed-{recipe.experiment.seeds[0]}" / "samples.png"
                if name in PICTURES and picture.is_file():
                    shutil.copyfile(picture, IMAGES / f"{PICTURES[name]}.png")
                click.echo(f"{name}: seeds {', '.join(str(each['seed']) for each in found)}")
    page = MEASURED / "results.md"
    atomic.write_text(page, report.filled(page.read_text(encoding="utf-8")))
    for table, figure in CURVES.items():
        draw(table, figure)
    ladder("guides")


def keep(name: str, found: list[dict[str, Any]]) -> None:
    """Puts figures in the place of those of the same budget and seed."""
    new = {(each["budget"], each["seed"]): each | {"curve": thinned(each["curve"])} for each in found}
    kept = {(each["budget"], each["seed"]): each for each in results.kept(name)} | new
    path = ROOT / "pyrovae" / "reproduction" / "published" / "obtained" / f"{name}.json"
    atomic.write_text(path, json.dumps([kept[key] for key in sorted(kept)], indent=1) + "\n")


def thinned(curve: list[list[float]]) -> list[list[float]]:
    """At most POINTS of a curve, the last one among them."""
    step = -(-len(curve) // POINTS)
    return [[epoch, round(value, 3)] for epoch, value in curve[:: -step or -1][::-1]]


def draw(table: str, figure: str) -> None:
    """The learning curves of a table, of the rows with a full budget where there are any, beside published figures."""
    about, curves, published = recipes.tables()[table], {}, {}
    budget = "full" if any(results.of_budget(results.kept(name), "full") for name in about.rows) else "short"
    for name in about.rows:
        (recipe,) = recipes.find(name)
        kept = results.of_budget(results.kept(name), budget)
        if not kept:
            continue
        curves[recipe.experiment.row] = [(epoch, value) for epoch, value in kept[0]["curve"]]
        if (value := recipe.experiment.published.get(figure)) is not None:
            sign = -1 if figure.startswith("nll") else 1
            published[f"{recipe.experiment.row}, published {'-NLL' if sign < 0 else 'ELBO'}"] = sign * value
    if curves:
        plots.learning(curves, IMAGES / f"curves-{table}.png", published, about.title)


def ladder(table: str) -> None:
    """ELBO, log-likelihood and its annealed estimate of each row that has them; the last from the data that were
    annealed, by what it moves the importance-sampled estimate of the same data. All rows at the short budget."""
    about, rows = recipes.tables()[table], {}
    for name in about.rows:
        (recipe,) = recipes.find(name)
        kept = results.of_budget(results.kept(name), "short")
        if not kept:
            continue
        elbo, nll, same, ais = (results.values(kept, figure) for figure in ("elbo", "nll", "nll_same", "nll_ais"))
        annealed = [-(all_data + a - b) for all_data, a, b in zip(nll, ais, same, strict=False)]
        rows[recipe.experiment.row] = [elbo, [-value for value in nll], annealed]
    if rows:
        plots.ladder(rows, IMAGES / f"ladder-{table}.png", f"{about.title}: {about.data}")


if __name__ == "__main__":
    main()
