"""What commands print: one JSON object, or a small table."""

import json
import math
from collections.abc import Sequence

import click

from pyrovae.cli._glossary import remember
from pyrovae.cli._tables import lines_of, room, wrapped
from pyrovae.runtime.streams import Spare
from pyrovae.storage.jsonable import JsonMapping, finite


def print_json(value: JsonMapping | Sequence[object]) -> None:
    """One JSON value on stdout; numbers that are not finite become null."""
    click.echo(json.dumps(finite(value), allow_nan=False, default=str))


def print_note(text: str) -> None:
    """A line on stderr, where that can be written."""
    print(text, file=Spare(), flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """A table on stdout in which nothing is cut, as wide as it needs to be where stdout is no terminal."""
    width = room()
    for line in [] if title is None else wrapped(title, width):
        click.echo(line)
    cells = [[_cell(value) for value in row] for row in rows]
    for line in lines_of(columns, cells, width):
        click.echo(line)
    remember("\n".join(" ".join(row) for row in [columns, *cells]))


def print_text(text: str) -> None:
    """Sentences on stdout, with whole words on each line of a terminal."""
    click.echo("\n".join(wrapped(text, room())))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
    return str(value).replace("\n", " ")


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
