"""Show all about a run, and check every file of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pyrovae.cli._arguments import RunFolder
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_table
from pyrovae.errors import PyrovaeError
from pyrovae.runs.inspection import inspect
from pyrovae.storage.jsonable import JsonMapping

SECTION = "Look"
PLACE = 1

LONGEST = 2000
"""Letters of a value that are shown, at most: a file may hold a book."""


@click.command(
    epilog="""\b
Examples:
  pyrovae inspect runs/cvae-digits
  pyrovae inspect runs/cvae-digits --json"""
)
@click.argument("path", metavar="RUN", type=RunFolder())
@json_option
@debug_option
def command(path: Path, as_json: bool) -> None:
    """Show all about a run, and check every file of it; nothing that it names is run."""
    found = inspect(path)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if damage := found["damage"]:
        more = f" (and {len(damage) - 1} more)" if len(damage) > 1 else ""
        raise PyrovaeError(f"{damage[0]}{more}")


def _print(found: JsonMapping) -> None:
    rows: list[tuple[str, Any]] = [(name, found[name]) for name in ("run", "format", "status", "model", "guide")]
    rows += [("frozen model of", value["run"])] if isinstance(value := found["frozen"], dict) and "run" in value else []
    rows += [("goes on with", found["resume"])] if found["resume"] else []
    rows += [("parameters", found["parameters"])]
    rows += [("own code", f"{each['name']}: {each['verdict']} ({each['path']})") for each in found["own_code"]]
    _table(None, rows)
    _table("data", _pairs(found["data"]))
    for group, values in found["options"].items():
        _table(f"options of {group}" + ("" if group == "model" else " that are not the defaults"), _pairs(values))
    for title in ("progress", "results", "environment"):
        _table(title, _pairs(found[title]))
    files = [(each["path"] or each["role"], each["bytes"], each["verdict"], each["sha256"]) for each in found["files"]]
    _table("files", files, ("file", "bytes", "verdict", "sha256"))
    _table("not named by run.json", [(name,) for name in found["not_named"]], ("",))
    for file, tensors in found["tensors"].items():
        _table(f"tensors of {file}", _listed(tensors), ("name", "dtype", "shape"))
    _table("damage", [(sentence,) for sentence in found["damage"]], ("",))


def _listed(tensors: Mapping[str, JsonMapping]) -> list[tuple[str, str, str]]:
    """Each tensor of weights; of a checkpoint how many there are of a kind."""
    counts = Counter(name.partition("/")[0] for name in tensors if "/" in name)
    many = [(f"{group}/", ", ".join(sorted(_dtypes(tensors, group))), f"{n} tensors") for group, n in counts.items()]
    rest = {name: each for name, each in tensors.items() if "/" not in name}
    return many + [(name, each["dtype"], " x ".join(map(str, each["shape"])) or "one") for name, each in rest.items()]


def _dtypes(tensors: Mapping[str, JsonMapping], group: str) -> set[str]:
    return {each["dtype"] for name, each in tensors.items() if name.startswith(f"{group}/")}


def _pairs(values: object) -> list[tuple[str, object]]:
    return list(values.items()) if isinstance(values, Mapping) else [("", values)] if values is not None else []


def _table(title: str | None, rows: Sequence[Sequence[object]], columns: Sequence[str] = ("", "")) -> None:
    """A table below an empty line; nothing where it has no rows."""
    if not rows:
        return
    if title is not None:
        click.echo(f"\n{title}")
    print_table(columns, [[_plain(value) for value in row] for row in rows])


def _plain(value: object) -> str | None:
    """In plain words, without signs that could move the cursor of a terminal, and of bearable length."""
    if value is None:
        return value
    text = _words(value)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rpartition(' ')[0] or text[:LONGEST]} …"


def _words(value: object) -> str:
    """`yes`; `200, 200`; `train 48, test 6`; of a table in a table `z: rate 2.1, units 5`."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.6g}"
        case Mapping():
            told = [f"{key}{':' if isinstance(each, Mapping) else ''} {_words(each)}" for key, each in value.items()]
            return ("; " if any(isinstance(each, Mapping) for each in value.values()) else ", ").join(told) or "none"
        case list() | tuple():
            return ", ".join(map(_words, value)) or "none"
    return str(value)
