"""What commands print: one JSON object, or a small table."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from pyrovae.jsonable import finite


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON value on stdout; numbers that are not finite become null."""
    click.echo(json.dumps(finite(value), allow_nan=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str | None = None) -> None:
    """A table on stdout, as wide as it needs to be where stdout is no terminal."""
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
    return str(value).replace("[", "\\[")


def likelihood_line(scores: Mapping[str, Any]) -> str:
    """`-20.33 nats (standard error 0.004; 200 samples, 360 data)`."""
    if scores["log_likelihood"] is None:
        return "-"
    return (
        f"{scores['log_likelihood']:.3f} nats (Monte Carlo standard error {scores['standard_error']:.2g}; "
        f"{scores['samples']} samples a datum, {scores['num_data']} data)"
    )


def written(paths: Sequence[Path], folder: Path) -> str:
    """Names of the files that were written below a folder."""
    return ", ".join(str(path.relative_to(folder)) for path in paths)
