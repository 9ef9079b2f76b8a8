"""The commands that list names: they import no torch."""

from collections.abc import Callable, Mapping

import click

from pyrovae.cli._options import debug_option, json_option
from pyrovae.cli._output import print_json, print_table


def list_command(summary: str, example: str, describe: Callable[[], Mapping[str, str]]) -> click.Command:
    """A command that prints names with one line each."""

    @click.command(help=summary, epilog=f"\b\nExamples:\n  {example}\n  {example} --json")
    @json_option
    @debug_option
    def command(as_json: bool) -> None:
        found = describe()
        if as_json:
            print_json(found)
        else:
            print_table(("name", ""), list(found.items()))

    return command
