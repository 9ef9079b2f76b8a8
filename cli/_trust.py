"""What a person is shown before code that a run names is run."""

from pathlib import Path

import click

from pyrovae.cli._output import print_note
from pyrovae.errors import PyrovaeError

SHOWN = "pyrovae.code_shown"


def show_code(run: Path | str) -> None:
    """Says on stderr which files of the user's own code a run names, once; of a run that cannot be read, nothing."""
    context = click.get_current_context(silent=True)
    shown = set() if context is None else context.meta.setdefault(SHOWN, set())
    if str(run) in shown:
        return
    shown.add(str(run))
    from pyrovae.runs.inspection import code_of  # not before it is needed: help would wait for it

    try:
        found = code_of(Path(run))
    except (FileNotFoundError, PyrovaeError):
        return  # loading it tells why
    for each in found:
        if each["path"] is None:
            line = f"{each['name']}: {each['verdict']}"
        else:
            line = f"{each['path']} ({each['bytes']:,} bytes, sha256 {each['sha256']}): {each['verdict']}"
            if each["was"] not in (None, each["sha256"]):
                line += f" (sha256 {each['was']})"
        line = f"--trust runs your own code, {line}"
        print_note(line if line.isprintable() else repr(line)[1:-1])
