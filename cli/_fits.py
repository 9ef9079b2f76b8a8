"""What the commands that fit share: options, which are declared here once, and where their values come from."""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyrovae import registry
from pyrovae.cli._arguments import Data, Names, RunFolder
from pyrovae.cli._glossary import explain_option
from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._trust import show_code
from pyrovae.config import Config, Options, Settings, read_toml
from pyrovae.data.catalogue import require_there
from pyrovae.data.options import DataConfig
from pyrovae.errors import PyrovaeError, UsageError, brief
from pyrovae.options import TrainConfig
from pyrovae.registry.refusals import require_settings
from pyrovae.runs.inspection import require_run
from pyrovae.runtime.device_names import require_device_name
from pyrovae.runtime.sizes import bytes_in

if TYPE_CHECKING:
    from pyrovae.runs.run import Run

Command = Callable[..., object]
"""What click makes a command of; its parameters are the options."""

TEXTS = ("model", "guide", "data", "out", "freeze_model", "baseline")


def configs(model: str | None) -> Mapping[str, type[Config]]:
    """The options of a fit: those of the model that is named, of training and of the data."""
    if model is None:
        return {"Training": TrainConfig, "Data": DataConfig}
    own, training = registry.variant_options(model)
    return {f"Options of {model}": own, "Training": training, "Data": DataConfig}


def next_free(model: str, data: str, root: Path = Path("runs")) -> Path:
    """runs/cvae-digits, or runs/cvae-digits-2 and so on where there is one.

    The folder is made, so that of commands that run at once each has its own; where nothing was written in it, it goes
    when the command ends.
    """
    return next(path for path in default_names(model, data, root) if _claimed(path))


def default_names(model: str, data: str, root: Path = Path("runs")) -> Iterator[Path]:
    """runs/cvae-digits, runs/cvae-digits-2, runs/cvae-digits-3, ..."""
    name = f"{Path(model.rpartition(':')[2]).stem}-{Path(data).stem}"
    name = name[:100]  # of data whose name no file could have, which is told later
    yield root / name
    yield from (root / f"{name}-{count}" for count in itertools.count(2))


def _claimed(path: Path) -> bool:
    """Makes a folder; whether nobody else has."""
    if path.exists():
        return False
    context = click.get_current_context(silent=True)
    if context is None or os.environ.get("RANK", "0") != "0":  # the first process of torchrun writes for all
        return True
    made = [each for each in (path, *path.parents) if not each.exists()]
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    except (OSError, ValueError):
        return True  # it cannot be made, which is told where it is written to
    from pyrovae.storage import atomic  # not before a fit: help would wait for numpy

    context.call_on_close(lambda: atomic.remove_empty(made))
    return True


def require_named(settings: Settings, overwrite: bool) -> None:
    """Raises UsageError where a result is to be replaced, and none is named."""
    if overwrite and not settings.get("out"):
        raise UsageError("--overwrite replaces what is in --out DIR, and there is none: give --out, or leave it out")


def folder_of(settings: Options, model: str, data: str) -> Path:
    """Takes `out` out of the settings: where the result goes, `next_free` where it was not said."""
    return Path(settings.pop("out", None) or next_free(model, data))


def settings_of(config: Path | None, options: Mapping[str, object]) -> Options:
    """What was set: the command line over the TOML file."""
    given = {key: value for key, value in options.items() if value is not None}
    if config is None:
        return given
    from_file = read_toml(config)
    if isinstance(from_file.get("experiment"), dict):  # of a recipe: what `pyrovae reproduce` prints of it
        del from_file["experiment"]
    for key, value in from_file.items():
        if isinstance(value, dict):
            raise UsageError(f"config file {config}: [{brief(key)}] is a table: write all keys at the top level")
        if isinstance(value, str) and "\0" in value:
            raise UsageError(f"config file {config}: {key} = {brief(repr(value))} holds a zero byte: take it out")
        if key in TEXTS and not isinstance(value, str):
            raise UsageError(f'config file {config}: {key} = {brief(repr(value))} is no text: write {key} = "..."')
    return from_file | given


def require(
    model: str | None,
    guides: Sequence[str],
    data: str | None,
    settings: Settings,
    freeze_model: str | None = None,
    trust: bool = False,
) -> None:
    """Raises UsageError, before the seconds that torch takes to import, for a name, a path, a key of a TOML file or a
    value with which no fit begins."""
    if freeze_model is not None:
        require_run(Path(freeze_model), trust)
        model = model or model_of(freeze_model, trust)
    if model is not None:
        require_settings(model, guides, settings)
    if data is not None:
        require_there(data)
    if "device" in settings:
        require_device_name(settings["device"])
    if settings.get("max_memory") is not None:
        bytes_in(settings["max_memory"])


def fits(out: str, replaces: str, *own: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Adds the options of every command that fits, with those of its `own` behind --model.

    Args:
        out: help of --out.
        replaces: what --overwrite replaces.
        own: options of this command.
    """
    options: list[Callable[[Command], Command]] = [
        click.option(
            "--model",
            "-m",
            metavar="NAME",
            type=Names("models"),
            help="A variant (`pyrovae models`), or your own my_model.py:MyVAE.",
        ),
        *own,
        click.option("--data", metavar="DATA", type=Data(), help="A data set (`pyrovae data`), or a path."),
        click.option(
            "--freeze-model",
            metavar="RUN",
            type=RunFolder(text=True),
            help="Train guides only, on the model of this run: model, data and options are as they were there.",
        ),
        click.option("--trust", is_flag=True, help="Run your own Python file where --freeze-model was made with one."),
        click.option("--out", type=click.Path(path_type=Path), help=out),
        click.option("--overwrite", is_flag=True, help=f"Replace the {replaces} that is in --out."),
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            help="TOML file with options of model, data and training as keys.",
        ),
        click.option("--quiet", is_flag=True, help="No progress; notes stay."),
        json_option,
        explain_option,
        debug_option,
    ]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def frozen(path: str | None, trust: bool) -> "Run | None":
    """Loads the run of --freeze-model; None where none is named."""
    if path is None:
        return None
    from pyrovae.training.freezing import source_of

    if trust:
        show_code(path)
    return source_of(path, trust)


def model_of(run: str, trust: bool) -> str | None:
    """The model of the run that --freeze-model names, whose options the command takes; imports no torch.

    None where the run is damaged or its code is not trusted, which loading it will tell.

    Raises:
        UsageError: where there is no run.
    """
    from pyrovae.runs import directory  # not before it is needed: help would wait for it

    try:
        name: str | None = directory.content(Path(run))["recipe"]["model"]
    except FileNotFoundError:
        raise UsageError(
            f"--freeze-model {run} is not a run directory: give the folder that `pyrovae fit` printed"
        ) from None
    except PyrovaeError:
        return None
    if name is not None and ":" in name:
        if not trust:
            return None
        show_code(run)
    return name
