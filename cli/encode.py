"""Write the latent variables of data to a file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae.cli._arguments import Output
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_note
from pyrovae.cli._runs import limit_option, on_run, seed_option, split_option, write_rows
from pyrovae.storage.tables import SUFFIXES

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Look"
PLACE = 5


@click.command(
    epilog="""\b
Examples:
  pyrovae encode runs/vae-digits --out latents.npz
  pyrovae encode runs/vae-digits --split train --picture latents.png"""
)
@split_option
@limit_option
@seed_option
@click.option(
    "--out",
    type=Output(*SUFFIXES),
    help="The .csv, .npz or .parquet [default: latents.npz, unless there is --picture].",
)
@click.option("--picture", type=Output(".png"), help="Draw the posterior means in two dimensions to this .png.")
@json_option
@debug_option
@on_run
def command(
    run: "Run", split: str, limit: int | None, seed: int, out: Path | None, picture: Path | None, as_json: bool
) -> None:
    """Write the posterior mean and scale of each datum (z_mean, z_scale; y where there are labels) to a file."""
    from pyrovae.runs import pictures

    found: dict[str, object] = {"run": str(run.path)}
    if out is not None or picture is None:
        arrays = run.encode(split, limit, seed)  # type: ignore[arg-type]
        broken = {"broken": arrays.pop("broken")} if "broken" in arrays else {}
        for each in broken.get("broken", ()):
            print_note(f"warning: these values are not to be trusted: {each}")
        if out is None and as_json:
            index = run.index(split, limit)  # type: ignore[arg-type]
            found |= {name: array.tolist() for name, array in {**index, **arrays, **broken}.items()}
        else:
            out = out or Path("latents.npz")
            write_rows(run, out, arrays, split, limit, beside=broken)
            found["out"] = str(out)
    if picture is not None:
        found["picture"] = str(pictures.latents(run, picture, split, limit))  # type: ignore[arg-type]
    if as_json:
        return print_json(found)
    for name in ("out", "picture"):
        if name in found:
            click.echo(found[name])
    return None
