"""Walk from datum to datum through the latent space."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae.cli._generated import show, written
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._runs import SHOWN, count, draws_option, on_run, temperature_option

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Look"
PLACE = 4


@click.command(
    epilog="""\b
Examples:
  pyrovae interpolate runs/cvae-digits --out interpolation.png
  pyrovae interpolate runs/textvae-pydoc --rows 3 --steps 6"""
)
@click.option("--rows", type=count(most=SHOWN), default=6, show_default=True, help="Pairs of test data.")
@click.option(
    "--steps", type=count(2, SHOWN), default=10, show_default=True, help="Points on each line, with its ends."
)
@temperature_option
@draws_option
@json_option
@debug_option
@on_run
def command(run: "Run", rows: int, steps: int, temperature: float | None, out: Path | None, as_json: bool) -> None:
    """Decode along lines between the posterior means of test data; a row a pair of data."""
    from pyrovae.generation.decoding import require_temperature
    from pyrovae.runs import pictures

    if run.vocabulary is None and (out.suffix == ".png" if out is not None else not as_json):
        require_temperature(temperature, text=False)
        written(run, pictures.interpolation(run, out or Path("interpolation.png"), rows, steps), as_json)
    else:
        show(run, run.interpolate(rows, steps, temperature=temperature), out, as_json)
