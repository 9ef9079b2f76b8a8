"""The argument RUN and the options that every command on a run has."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyrovae.cli._arguments import Data, Device, Output, RunFolder
from pyrovae.cli._output import print_note
from pyrovae.cli._ranges import Real, Whole
from pyrovae.cli._trust import show_code
from pyrovae.data.catalogue import STDIN, require_there
from pyrovae.runs.inspection import require_run
from pyrovae.runtime.sizes import bytes_in
from pyrovae.storage.tables import SUFFIXES, write_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from pyrovae.runs.run import Run


Command = Callable[..., object]

device_option = click.option(
    "--device", type=Device(), default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps."
)


def on_run(command: Command) -> Command:
    """Adds RUN, --data, --device, --trust and --data-root; the command gets the loaded run as its first argument, on
    the new data where there are some, and takes at most as much memory as `max_memory_option` says, where it has that.

    What is wrong with RUN, --data and --device is told before torch is imported, which takes seconds. So is what
    `require(**options)` raises of a command that has such an attribute; see `requires`.
    """

    @functools.wraps(command)
    def opened(
        path: Path,
        data: str | None,
        device: str,
        trust: bool,
        data_root: Path | None,
        max_memory: str | None = None,
        **options: Any,
    ) -> object:
        require_run(path, trust)
        if data is not None and data != STDIN:
            require_there(data)
        if max_memory is not None:
            bytes_in(max_memory)
        getattr(command, "require", dict)(**options, trust=trust)

        from pyrovae.pairs.parameters import device_of
        from pyrovae.runtime import memory

        run = open_run(path, device, trust, data_root)
        split = options.get("split")
        if data is not None:
            run = run.on(data, split or "all", conditions="given" in options)
            for note in run.description["notes"]:
                print_note(f"note: {note}")
        if "split" in options:
            options["split"] = "test" if data is not None else split or "test"
        with memory.limited(max_memory, device_of(run.pair)):
            return command(run, **options)

    options = [
        click.argument("path", metavar="RUN", type=RunFolder()),
        click.option(
            "--data",
            metavar="FILE",
            type=Data(),
            help="Data that were not in the run: a file, a folder, the name of a data set, or - for standard input; "
            "read as those of the run were.",
        ),
        device_option,
        click.option("--trust", is_flag=True, help="Run your own Python file where the run was made with one."),
        click.option("--data-root", type=click.Path(path_type=Path), help="Where the data are now, if they moved."),
    ]
    for option in reversed(options):
        opened = option(opened)
    return opened


def requires(require: Callable[..., object]) -> Callable[[Command], Command]:
    """Has a command below `on_run` refuse options that do not go together before its run is loaded.

    Args:
        require: gets the options of the command by name, and `trust`; raises UsageError.
    """

    def add(command: Command) -> Command:
        command.require = require  # type: ignore[attr-defined]
        return command

    return add


def open_run(path: Path, device: str, trust: bool, data_root: Path | None) -> "Run":
    """Loads a run, its data from another root where that is given."""
    from pyrovae.runs.loading import load

    if trust:
        show_code(path)
    run = load(path, device=device, trust=trust)
    if data_root is not None:
        run.move_data(data_root)
    return run


MOST = 10**9
"""Of samples, steps, chains and the like: more would not end within a year."""

SHOWN = 10**6
"""Of what is shown or written at once."""


SEED = Whole(min=0, max=2**31 - 1)


def count(least: int = 1, most: int = MOST) -> Whole:
    """The type of an option that says how many."""
    return Whole(min=least, max=most)


split_option = click.option(
    "--split", type=click.Choice(["train", "valid", "test", "all"]), help="Which data [default: test; of --data all]."
)
limit_option = click.option("--limit", type=count(), help="Only the first so many data.")
seed_option = click.option("--seed", type=SEED, default=0, show_default=True, help="Of the noise.")
temperature_option = click.option(
    "--temperature",
    type=Real(min=0, max=1e6),
    help="Text: divides the logits of each word; 0 takes the most likely one [default: 1; of interpolate 0].",
)

rows_option = click.option(
    "--out", type=Output(*SUFFIXES), help="Write the values of each datum to this .csv, .npz or .parquet."
)
draws_option = click.option(
    "--out", type=Output(".png", *SUFFIXES), help="A .png of images, or a .csv, .npz or .parquet of any data."
)

max_memory_option = click.option(
    "--max-memory",
    metavar="SIZE",
    help="Memory of the GPU, or on a CPU of the data that are scored at once, such as 8GB or 500MB, at most.",
)


def write_rows(
    run: "Run",
    out: Path,
    arrays: "Mapping[str, np.ndarray]",
    split: Any,
    limit: int | None,
    evenly: bool = False,
    beside: "Mapping[str, np.ndarray] | None" = None,
) -> None:
    """Writes a value or more of each datum, in a table with the number of its row, and its name where it has one; what
    stands `beside` them, of no single datum, in a .npz alone."""
    from pyrovae.data.new import NewData

    archive = out.suffix == ".npz"
    known = run.index(split, limit, evenly) if not archive or isinstance(run.data, NewData) else {}
    write_table(out, {**known, **arrays, **((beside or {}) if archive else {})})
