"""List runs with their scores."""

from pathlib import Path

import click

from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_note, print_table
from pyrovae.errors import UsageError
from pyrovae.runs.listing import found_in
from pyrovae.storage.jsonable import JsonMapping

SECTION = "List"
PLACE = 0

SORTS = ("run", "model", "data", "test_elbo", "log_likelihood")


@click.command(
    epilog="""\b
Examples:
  pyrovae runs
  pyrovae runs experiments --sort log_likelihood --json"""
)
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), default=Path("runs"))
@click.option("--sort", type=click.Choice(SORTS), default="run", show_default=True, help="Best scores stand first.")
@json_option
@debug_option
def command(folder: Path, sort: str, as_json: bool) -> None:
    """List the runs below a folder [default: runs] with their scores, nats a datum; nothing that they name is run."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give one that holds runs")
    runs = found_in(folder)
    if sort in ("test_elbo", "log_likelihood"):
        runs.sort(key=lambda run: -(run[sort] if isinstance(run[sort], float) else float("-inf")))
    else:
        runs.sort(key=lambda run: (str(run[sort]), run["run"]))
    if as_json:
        return print_json(runs)
    if not runs:
        return print_note(f"there is no run below {folder}")
    titles = ("run", "model", "guide", "data", "status", "test ELBO", "log-likelihood", "verdict")
    print_table(titles, [_row(run) for run in runs])
    return None


def _row(run: JsonMapping) -> tuple[object, ...]:
    trusted = {True: "trusted", False: "not trusted"}.get(run["trusted"], "")
    numbers = (f"{run[name]:.2f}" if run[name] is not None else "" for name in ("test_elbo", "log_likelihood"))
    return (run["run"], run["model"] or "", run["guide"] or "", run["data"] or "", run["status"], *numbers, trusted)
