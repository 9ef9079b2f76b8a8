"""`pyrovae sample`: draws from the model of a run."""

from pathlib import Path

import click

from pyrovae.cli._options import debug_option
from pyrovae.cli._pictures import parse_given, show
from pyrovae.cli._runs import on_run, open_run, require_suffix, seed_option


@click.command(
    epilog="""\b
Examples:
  pyrovae sample runs/cvae-digits --out samples.png
  pyrovae sample runs/cvae-digits --given y=3 -n 50 --out threes.png"""
)
@on_run
@click.option(
    "-n", "--number", "n", type=click.IntRange(min=1), default=100, show_default=True, help="How many [text: 10]."
)
@click.option("--given", multiple=True, metavar="NAME=VALUE", help="Fix a condition or a latent: y=3, z=0.5,-1.")
@seed_option
@click.option("--out", type=click.Path(path_type=Path), help="A .png of images, or a .npz of any data.")
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    path: Path,
    device: str,
    trust: bool,
    data_root: Path | None,
    n: int,
    given: tuple[str, ...],
    seed: int,
    out: Path | None,
) -> None:
    """Draw from p: a grid of images (a column a class, or completions, for a conditional pair), or sentences."""
    require_suffix(out, ".png", ".npz")
    values = parse_given(given)
    run = open_run(path, device, trust, data_root)
    chosen = ctx.get_parameter_source("n") is not click.core.ParameterSource.DEFAULT

    from pyrovae import gallery

    if run.vocabulary is None and (out is None or out.suffix == ".png"):
        out = out or Path("samples.png")
        classes = run.classes() if not values else None
        rows = -(-n // (classes or gallery.COLUMNS)) if chosen or classes is None else gallery.ROWS
        gallery.samples(run, out, rows, seed, values)
        click.echo(out)
    else:
        show(run, run.sample(n if chosen or out is not None else 10, seed, **values), out)
