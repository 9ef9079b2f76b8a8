"""A command whose options are those of the model that it is given."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from pyrovae.cli._arguments import Device
from pyrovae.cli._grouped_command import GroupedCommand
from pyrovae.cli._options import options_of
from pyrovae.config import Config, read_toml
from pyrovae.errors import UsageError, brief


class ModelCommand(GroupedCommand):
    """A command that takes the options of the model that `--model` names, or `model = "..."` in the `--config` file, or
    that of the run of `--freeze-model`.

    The command declares the options `model` and `config` itself and takes the others as `**options`.

    Args:
        configs: makes heading -> Config of the name of the model, or of None where none is named, in the order of the
            help: `{"Training": Training, "Options of cvae": Config}`.
    """

    def __init__(self, *args: Any, configs: Callable[[str | None], Mapping[str, type[Config]]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configs = configs

    def named(self, ctx: click.Context, args: list[str]) -> str | None:
        """The model."""
        named = self.peek("model", args)
        path = self.peek("config", args)
        run = self.peek("freeze_model", args)
        if named is None and path is not None:
            given = read_toml(Path(path))
            named, run = given.get("model"), run or given.get("freeze_model")
            if named is not None and not isinstance(named, str):
                raise UsageError(f'config file {path}: model = {brief(repr(named))} is no name: write model = "cvae"')
        if named is None and isinstance(run, str):
            from pyrovae.cli._fits import model_of

            return model_of(run, trust="--trust" in args)
        return named

    def option_groups(self, named: str | None) -> dict[str, list[click.Option]]:
        """Those of each Config."""
        return {
            heading: options_of(config, types={"device": Device()}) for heading, config in self.configs(named).items()
        }

    def unknown(self, named: str | None, error: click.NoSuchOption) -> click.NoSuchOption:
        """Without a model, says that a model brings options."""
        if named is not None:
            return error
        message = f"{error.message} (the options of a model need --model NAME)"
        return click.NoSuchOption(error.option_name, message, error.possibilities, error.ctx)
