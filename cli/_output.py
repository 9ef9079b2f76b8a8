"""What commands print: one JSON object, or a small table."""

import json
import math
import sys
from collections.abc import Sequence

import click

from pyrovae.cli._glossary import remember
from pyrovae.runtime.streams import Spare
from pyrovae.storage.jsonable import JsonMapping, finite


def print_json(value: JsonMapping | Sequence[object]) -> None:
    """One JSON value on stdout; numbers that are not finite become null."""
    click.echo(json.dumps(finite(value), allow_nan=False, default=str))


def print_note(text: str) -> None:
    """A line on stderr, where that can be written."""
    print(text, file=Spare(), flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """A table on stdout, as wide as it needs to be where stdout is no terminal."""
    from rich.console import Console  # not before a table is printed: help has none, and would wait for it
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    header = any(columns)
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, show_header=header)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    with console.capture() as captured:
        console.print(table)
    printed = "\n".join(line.rstrip() for line in captured.get().splitlines())
    click.echo(printed)
    remember(printed)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
    return str(value).replace("[", "\\[")


def likelihood_line(scores: JsonMapping) -> str:
    """`-20.33 nats, standard error 0.004 (200 samples a datum, 360 data)`: that of the Monte Carlo estimate."""
    if scores["log_likelihood"] is None:
        return "-"
    error = scores["standard_error"]
    error = "unknown" if error is None or math.isnan(error) else f"{error:.2g}"
    elbo = f", their ELBO {scores['scored_elbo']:.3f}" if "scored_elbo" in scores else ""
    some = "" if scores.get("samples_mean", scores["samples"]) == scores["samples"] else "at most "
    return (
        f"{scores['log_likelihood']:.3f} nats, standard error {error} "
        f"({some}{scores['samples']} samples a datum, {scores['num_data']} data{elbo})"
    )


def accuracy_line(scores: JsonMapping, of: str = "") -> str:
    """`0.9312, standard error 0.0025 (10,000 data, whose labels q(y|x) did not see)`."""
    share, error, n = (scores[f"{of}{name}"] for name in ("accuracy", "accuracy_error", "accuracy_data"))
    return f"{share:.4f}, standard error {error:.2g} ({n:,} data, whose labels the guide did not see)"
