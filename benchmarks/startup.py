"""Seconds until a command answers: `python -m benchmarks.startup`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from benchmarks.measure import Contestant, alternate, as_json, show, write

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "pyrovae --help": ["-m", "pyrovae", "--help"],
    "pyrovae models": ["-m", "pyrovae", "models"],
    "pyrovae guides": ["-m", "pyrovae", "guides"],
    "pyrovae data": ["-m", "pyrovae", "data"],
    "pyrovae fit --model cvae --help": ["-m", "pyrovae", "fit", "--model", "cvae", "--help"],
    "import torch": ["-c", "import torch"],
    "import pyro": ["-c", "import pyro"],
}


@click.command()
@click.option("--blocks", default=7, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(blocks: int, out: Path | None) -> None:
    """Time commands from start to end, by turns."""

    def contestant(name: str, arguments: list[str]) -> Contestant:
        def run(repeats: int) -> None:
            for _ in range(repeats):
                subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

        return Contestant(name, run)

    rows = alternate([contestant(name, arguments) for name, arguments in COMMANDS.items()], blocks, 1)
    show("start to end", rows, "import torch", check="")
    write(out, {"command": "startup", "rows": as_json(rows)})


if __name__ == "__main__":
    main()
