"""A command whose options are those of the estimator that `--method` names."""

import click

from pyrovae.cli import _method
from pyrovae.cli._grouped_command import GroupedCommand
from pyrovae.errors import UsageError


class MethodCommand(GroupedCommand):
    """A command that takes the options of the estimator of `--method`, which it declares itself."""

    def named(self, ctx: click.Context, args: list[str]) -> str:
        """The estimator; click's own error for a name that there is not."""
        option = next(param for param in self.params if param.name == "method")
        method: str = option.type_cast_value(ctx, self.peek("method", args) or _method.DEFAULT)
        return method

    def option_groups(self, named: str | None) -> dict[str, list[click.Option]]:
        """Those of one estimator."""
        name = named or _method.DEFAULT
        return {f"Options of --method {name}": _method.find(name).options()}

    def unknown(self, named: str | None, error: click.NoSuchOption) -> Exception:
        """An option of another estimator says so."""
        others = _method.owners(error.option_name.removeprefix("--").replace("-", "_"))
        if not others:
            return error
        of = f"--method {' or '.join(others)}"
        return UsageError(f"{error.option_name} is an option of {of}: leave it out with {named}")
