"""`pyrovae loglik`: importance-sampled log-likelihood of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import likelihood_line, print_json, print_table
from pyrovae.cli._runs import limit_option, on_run, require_suffix, seed_option, split_option

if TYPE_CHECKING:
    from pyrovae.run import Run


class Chunk(click.IntRange):
    """A number of samples, or `auto`, which is 0."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return 0 if value == "auto" else super().convert(value, param, ctx)


@click.command(
    epilog="""\b
Examples:
  pyrovae loglik runs/cvae-digits --samples 5000
  pyrovae loglik runs/cvae-digits --limit 100 --out per_datum.npz --json"""
)
@split_option
@click.option(
    "--samples", type=click.IntRange(min=1), default=1000, show_default=True, help="K, importance samples a datum."
)
@click.option(
    "--chunk",
    type=Chunk(),
    default="auto",
    show_default=True,
    help="Samples at once; auto: what fits the memory.",
)
@limit_option
@seed_option
@click.option(
    "--compile/--no-compile",
    default=None,
    help="Compile the estimate, or run eager Pyro [default: where it is won back].",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the values of each datum to this .npz.")
@json_option
@debug_option
@on_run
def command(
    run: "Run",
    split: str,
    samples: int,
    chunk: int,
    limit: int | None,
    seed: int,
    compile: bool | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Estimate log p(x), or log p(x|y), of held-out data by importance sampling; nats a datum."""
    require_suffix(out, ".npz")
    from pyrovae.files import write_arrays
    from pyrovae.progress import progress

    with progress() as show:
        found = run.log_likelihood(samples, split, limit, chunk or None, seed, show, compile)  # type: ignore[arg-type]
    if out is not None:
        values = {name: getattr(found, name).numpy() for name in ("log_likelihood", "standard_error", "ess")}
        write_arrays(out, values)
    summary = found.summary()
    if as_json:
        return print_json(summary)
    spread = summary["standard_error_data"]
    spent = summary["lowering_seconds"]
    compiling = f", {spent:.1f} of them tracing and compiling" if spent >= 0.1 else ""
    rows = [
        ("log-likelihood", likelihood_line(summary)),
        ("over the data", "-" if spread is None else f"+- {spread:.3f} (standard error of the mean over data)"),
        ("effective samples", f"{summary['ess']:.1f} of {summary['samples']} (mean over data)"),
        ("seconds", f"{summary['seconds']:.1f}" + compiling),
    ]
    return print_table(("", ""), rows)
