"""A command whose options are those of the model that it is given."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pyrovae.cli._options import GROUPS, options_of
from pyrovae.config import Config, read_toml
from pyrovae.errors import PyrovaeError, UsageError, brief


class ModelCommand(click.Command):
    """A command that takes the options of the model that `--model` names, or `model = "..."` in the `--config` file, or
    that of the run of `--freeze-model`.

    The command declares the options `model` and `config` itself and takes the others as `**options`; an option that it
    declares itself is not made a second time, and a name that two Configs share is one option.

    Args:
        configs: makes heading -> Config of the name of the model, or of None where none is named, in the order of the
            help: `{"Training": Training, "Options of cvae": Config}`.
    """

    def __init__(self, *args: Any, configs: Callable[[str | None], Mapping[str, type[Config]]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.configs = configs

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Finds the model, then parses with its options."""
        model = None
        try:
            model = self._model(args)
            ctx.meta[GROUPS] = self._groups(model)
        except PyrovaeError:
            if not ctx.resilient_parsing:  # shell completion goes on with what there is
                raise
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if model is not None:
                raise
            message = f"{error.message} (the options of a model need --model NAME)"
            raise click.NoSuchOption(error.option_name, message, error.possibilities, error.ctx) from None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters and those of the model."""
        return [*super().get_params(ctx), *(option for _, options in self._groups_in(ctx) for option in options)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the command's own options, then each group below its heading."""
        groups: list[tuple[str, Sequence[click.Parameter]]] = [("Options", super().get_params(ctx))]
        for heading, params in [*groups, *self._groups_in(ctx)]:
            records = [param.get_help_record(ctx) for param in params if isinstance(param, click.Option)]
            rows = [record for record in records if record is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def _groups_in(self, ctx: click.Context) -> list[tuple[str, list[click.Option]]]:
        if GROUPS not in ctx.meta:
            ctx.meta[GROUPS] = self._groups(None)
        return ctx.meta[GROUPS]

    def _groups(self, model: str | None) -> list[tuple[str, list[click.Option]]]:
        taken = {param.name for param in self.params}
        groups = []
        for heading, config in self.configs(model).items():
            options = [option for option in options_of(config) if option.name not in taken]
            taken.update(option.name for option in options)
            groups.append((heading, options))
        return groups

    def _model(self, args: list[str]) -> str | None:
        named = self._peek("model", args)
        path = self._peek("config", args)
        run = self._peek("freeze_model", args)
        if named is None and path is not None:
            given = read_toml(Path(path))
            named, run = given.get("model"), run or given.get("freeze_model")
            if named is not None and not isinstance(named, str):
                raise UsageError(f'config file {path}: model = {brief(repr(named))} is no name: write model = "cvae"')
        if named is None and isinstance(run, str):
            from pyrovae.cli._fits import model_of

            return model_of(run, trust="--trust" in args)
        return named

    def _peek(self, name: str, args: list[str]) -> str | None:
        """The text that the last `--name TEXT`, `--name=TEXT`, `-n TEXT` or `-nTEXT` in `args` gives, as in click."""
        found = None
        names = [opt for param in self.params if param.name == name for opt in param.opts]
        for i, arg in enumerate(args):
            if arg == "--":
                break
            for opt in names:
                if arg == opt:
                    found = args[i + 1] if i + 1 < len(args) else found
                elif opt.startswith("--") and arg.startswith(f"{opt}="):
                    found = arg.removeprefix(f"{opt}=")
                elif not opt.startswith("--") and arg.startswith(opt) and not arg.startswith("--"):
                    found = arg.removeprefix(opt)
        return found
