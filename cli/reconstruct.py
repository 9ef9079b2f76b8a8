"""Encode and decode held-out data."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae.cli._generated import show, written
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._runs import SHOWN, count, draws_option, on_run, seed_option, temperature_option

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Look"
PLACE = 3


@click.command(
    epilog="""\b
Examples:
  pyrovae reconstruct runs/cvae-digits --out reconstructions.png
  pyrovae reconstruct runs/textvae-pydoc -n 5"""
)
@click.option("-n", "--number", "n", type=count(most=SHOWN), default=10, show_default=True, help="How many data.")
@temperature_option
@seed_option
@draws_option
@json_option
@debug_option
@on_run
def command(run: "Run", n: int, temperature: float | None, seed: int, out: Path | None, as_json: bool) -> None:
    """Encode and decode test data: originals above, E[x|z] below; for text each sentence and its reconstruction."""
    from pyrovae.generation.decoding import require_temperature
    from pyrovae.runs import pictures

    if run.vocabulary is not None:
        truth = run.vocabulary.decode(run.split("test", n)[run.pair.inputs.index("x")])
        show(run, [list(pair) for pair in zip(truth, run.reconstruct(n, seed, temperature), strict=True)], out, as_json)
    elif out.suffix == ".png" if out is not None else not as_json:
        require_temperature(temperature, text=False)
        written(run, pictures.reconstructions(run, out or Path("reconstructions.png"), n, seed), as_json)
    else:
        show(run, run.reconstruct(n, seed, temperature), out, as_json, run.index("test", n))
