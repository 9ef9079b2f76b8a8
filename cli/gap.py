"""Take the gap between ELBO and log-likelihood apart."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae.cli._estimates import beside
from pyrovae.cli._glossary import explain_option
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_table, print_text
from pyrovae.cli._runs import count, max_memory_option, on_run, rows_option, seed_option, split_option, write_rows
from pyrovae.estimators import GAPS

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

SECTION = "Score"
PLACE = 2

METHODS = {
    "is": "importance sampling from the guide",
    "refit": "importance sampling from the refitted guide",
    "ais": "annealed importance sampling",
}


@click.command(
    epilog="""\b
Examples:
  pyrovae gap runs/cvae-digits --limit 20
  pyrovae gap runs/cvae-digits --limit 20 --ais-steps 0 --json"""
)
@split_option
@click.option("--limit", type=count(), default=100, show_default=True, help="So many data, evenly spaced.")
@click.option("--samples", type=count(), default=GAPS.samples, show_default=True, help="K of importance sampling.")
@click.option(
    "--ais-steps",
    type=count(0),
    default=GAPS.ais_steps,
    show_default=True,
    help="Temperatures of annealed importance sampling; 0 leaves it out.",
)
@click.option("--chains", type=count(), default=GAPS.chains, show_default=True, help="Of annealing, a datum.")
@seed_option
@rows_option
@max_memory_option
@json_option
@explain_option
@debug_option
@on_run
def command(
    run: "Run",
    split: str,
    limit: int,
    samples: int,
    ais_steps: int,
    chains: int,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Take log p(x) - ELBO apart: what the guide's family cannot express, and what its encoder loses."""
    from pyrovae.runtime.progress import progress

    with progress() as show:
        found = run.gap(split, limit, samples, ais_steps, chains, seed, show)  # type: ignore[arg-type]
    summary = found.summary()
    if out is not None:
        names = ("log_likelihood", "standard_error", "best", "elbo")
        arrays = {name: getattr(found, name).numpy() for name in names}
        write_rows(run, out, arrays, split, limit, evenly=True, beside=beside(summary))
    if as_json:
        return print_json(summary)

    def line(name: str, what: str) -> tuple[str, str, str]:
        mean, error = summary[name]["mean"], summary[name]["standard_error"]
        return (name.replace("_", "-"), f"{mean:.3f}" + ("" if error is None else f" +- {error:.3f}"), what)

    others = ", ".join(f"{key} {value:.3f}" for key, value in summary["by_method"].items())
    rows = [
        line("log_likelihood", f"{METHODS[found.method]} ({others})"),
        line("best", "ELBO of the best member of the family, refitted for each datum"),
        line("elbo", "ELBO of the guide as it is"),
        line("approximation", "log-likelihood - best: what the family cannot express"),
        line("amortization", "best - elbo: what one encoder for all data loses"),
        line("inference", "log-likelihood - elbo: both"),
    ]
    title = f"nats a datum, mean and standard error over {summary['num_data']} data"
    print_table(("", "", ""), rows, title)
    return print_text(summary["verdict"])
