"""What the generating commands share: sentences to stdout, arrays to .npz, and --given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyrovae.cli._output import print_json
from pyrovae.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pyrovae.runs.run import Run


def parse_given(given: Sequence[str]) -> dict[str, float | str | list[float]]:
    """`("y=3", "z=0.5,-1")` -> `{"y": 3.0, "z": [0.5, -1.0]}`; what is no number may be the name of a class. Raises
    UsageError where one is no NAME=VALUE."""
    found: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not name or not equals or not text:
            raise UsageError(
                f"--given {item}: write NAME=NUMBER, NAME=NUMBER,NUMBER for a vector, or NAME=CLASS by its name"
            )
        if name in found:
            raise UsageError(f"--given {item}: {name} is given twice: give it once")
        try:
            numbers = [float(part) for part in text.split(",")]
            found[name] = numbers[0] if len(numbers) == 1 else numbers
        except ValueError:
            found[name] = text
    return found


def show(
    run: "Run",
    value: "Tensor | list[str] | list[list[str]]",
    out: Path | None,
    as_json: bool = False,
    beside: "Mapping[str, np.ndarray] | None" = None,
) -> None:
    """Sentences on stdout, one a line (rows of an interpolation apart); arrays in a file under the name x, with the
    columns `beside` them; or, without a file and `as_json`, the values themselves in one JSON object."""
    from pyrovae.storage.tables import write_table

    if isinstance(value, list) and out is not None:
        raise UsageError("text goes to stdout: leave out --out, or redirect with > FILE")
    if as_json and out is None:
        print_json({"run": str(run.path), "x": value if isinstance(value, list) else value.tolist()})
    elif isinstance(value, list):
        for item in value:
            click.echo(item if isinstance(item, str) else "\n".join(item) + "\n")
    elif out is None or out.suffix == ".png":
        raise UsageError("these data are no images: name a file for the values, --out FILE.csv")
    else:
        write_table(out, {**(beside or {}), "x": value.numpy()})
        written(run, out, as_json)


def written(run: "Run", out: Path, as_json: bool) -> None:
    """Says what was written."""
    if as_json:
        print_json({"run": str(run.path), "out": str(out)})
    else:
        click.echo(out)
