"""A command with options that depend on what it is given, in groups of their own in its help."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import click

from pyrovae.cli._options import GROUPS
from pyrovae.errors import PyrovaeError


class GroupedCommand(click.Command, ABC):
    """A command that looks into its arguments for a name and takes the options that the name brings.

    The command declares the option that gives the name itself, and takes what the name brings as `**options`; an option
    that it declares itself is not made a second time, and a name that two groups share is one option.
    """

    @abstractmethod
    def named(self, ctx: click.Context, args: list[str]) -> str | None:
        """The name in the arguments; None where there is none."""

    @abstractmethod
    def option_groups(self, named: str | None) -> Mapping[str, Sequence[click.Option]]:
        """Heading -> the options that a name brings, or what there is without one, in the order of the help."""

    @abstractmethod
    def unknown(self, named: str | None, error: click.NoSuchOption) -> Exception:
        """What is raised for an option that this name does not bring."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Finds the name, then parses with its options."""
        named = None
        try:
            named = self.named(ctx, args)
            ctx.meta[GROUPS] = self._groups(named)
        except (PyrovaeError, click.UsageError):
            if not ctx.resilient_parsing:  # shell completion goes on with what there is
                raise
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            found = self.unknown(named, error)
            if found is error:
                raise
            raise found from None

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters and those that the name brings."""
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
        groups: list[tuple[str, list[click.Option]]] = ctx.meta[GROUPS]
        return groups

    def _groups(self, named: str | None) -> list[tuple[str, list[click.Option]]]:
        taken = {param.name for param in self.params}
        groups = []
        for heading, found in self.option_groups(named).items():
            options = [option for option in found if option.name not in taken]
            taken.update(option.name for option in options)
            groups.append((heading, options))
        return groups

    def peek(self, name: str, args: list[str]) -> str | None:
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
