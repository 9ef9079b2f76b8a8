"""Draw samples from the model of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae.cli._generated import parse_given, show, written
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._runs import SHOWN, count, draws_option, on_run, requires, seed_option, temperature_option

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Look"
PLACE = 2


@click.command(
    epilog="""\b
Examples:
  pyrovae sample runs/cvae-digits --out samples.png
  pyrovae sample runs/cvae-digits --given y=3 -n 50 --out threes.png"""
)
@click.option("-n", "--number", "n", type=count(most=SHOWN), help="How many [default: 100; of text or completions 10].")
@click.option("--given", multiple=True, metavar="NAME=VALUE", help="Fix a condition or a latent: y=3, y=cat, z=0.5,-1.")
@temperature_option
@seed_option
@draws_option
@json_option
@debug_option
@on_run
@requires(lambda given, **_: parse_given(given))
def command(
    run: "Run",
    n: int | None,
    given: tuple[str, ...],
    temperature: float | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Draw from p: a grid of images (a column a class, or completions, for a conditional pair), sentences, or columns
    of vectors beside those of test data."""
    values = parse_given(given)
    from pyrovae.generation.decoding import require_temperature
    from pyrovae.runs import pictures

    if run.vocabulary is None and (out.suffix == ".png" if out is not None else not as_json):
        out = out or Path("samples.png")
        require_temperature(temperature, text=False)
        pictures.samples(run, out, n, seed, values)
        written(run, out, as_json)
    else:
        n = n or (10 if run.vocabulary is not None else 100)
        show(run, run.sample(n, seed, temperature, None, **values), out, as_json)
