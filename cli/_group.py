"""The root of the command line: commands that load when they are called, and errors that read as one sentence."""

import errno
import importlib
import itertools
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from pyrovae.cli import _files
from pyrovae.errors import PyrovaeError, dashed, did_you_mean, is_out_of_memory, likely, system
from pyrovae.runtime.installed import installed
from pyrovae.runtime.streams import forget

DEBUG = "pyrovae.debug"

debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, help="Show the full traceback where an error arises."
)

NO_MEMORY = "there is not enough memory: lower the sizes of the networks, the batch size or the number of samples"


class LazyGroup(click.Group):
    """A click group whose commands are files, imported when they are called and not for the list of commands.

    To add a command, add a file `{package}/name.py`: the first line of its docstring is its line of help, `SECTION` and
    `PLACE` (literals) say where that stands, and its attribute `command` is the click command. Installed packages add
    commands by the entry point group `pyrovae.commands`; those of the package win a name.

    Errors of a command end as one line on stderr: PyrovaeError with its own exit code, Ctrl-C with 130, anything else
    with 1, under `--debug` (before or after the command's name) below the full traceback.

    Args:
        package: where the files are.
    """

    def __init__(self, *args: Any, package: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.package = package

    def files(self) -> dict[str, Path]:
        """Name of each command of the package -> its file."""
        return _files.files(sys.modules[self.package].__path__)

    def about(self) -> dict[str, _files.About]:
        """What the help says of each command, in the order of the help."""
        points = {name: _files.about_point(point) for name, point in installed(_files.GROUP).items()}
        return _files.in_order(points | {name: _files.about(file) for name, file in self.files().items()})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(self.about())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the module of the command `cmd_name`; None where there is no such command."""
        if cmd_name in self.files():
            ours: click.Command = importlib.import_module(f"{self.package}.{cmd_name.replace('-', '_')}").command
            return ours
        point = installed(_files.GROUP).get(cmd_name)
        if point is None:
            return None
        found = point.load()
        theirs: click.Command = getattr(found, "command", found)
        return theirs

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest name for a wrong one."""
        name = args[0]
        if name not in self.files() and not name.startswith("-") and not ctx.resilient_parsing:
            known = self.list_commands(ctx)
            if name not in known:
                options = [each for param in self.get_params(ctx) for each in param.opts if each.startswith("--")]
                meant = likely(name, known) or likely(name, options)
                told = did_you_mean(name, meant or known)
                raise click.UsageError(f"No such command '{name}'{told}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands section by section."""
        for section, rows in itertools.groupby(self.about().items(), lambda row: row[1].section):
            with formatter.section(section):
                formatter.write_dl([(name, about.line) for name, about in rows])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes names without importing the commands."""
        rows = [CompletionItem(n, help=about.line) for n, about in self.about().items() if n.startswith(incomplete)]
        return [*rows, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click; without a command, the list of commands, which is what was asked for."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click; looks for `--debug` in all of `args`, since an error may arise before a command has parsed it."""
        debug = "--debug" in (args[: args.index("--")] if "--" in args else args)
        with one_sentence(debug):
            ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[DEBUG] = debug
        return ctx

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command."""
        with one_sentence(ctx.meta.get(DEBUG, False)):
            result = super().invoke(ctx)
            sys.stdout.flush()  # a full disk or a closed pipe is an error here, and a stray message at interpreter exit
            return result


@contextmanager
def one_sentence(debug: bool) -> Iterator[None]:
    """Turns every error but click's own into one line on stderr and an exit; `debug` puts the traceback first. What is
    said meanwhile, notes and warnings too, names options with dashes."""
    try:
        with dashed():
            yield
    except click.NoSuchOption as error:
        error.possibilities = _options_like(error)  # type: ignore[misc]
        error.message = _line(error.message)  # type: ignore[misc]
        raise
    except click.ClickException as error:
        # What was typed may hold lines, or be a book.
        error.message = _line(error.message)  # type: ignore[misc]
        raise
    except (click.Abort, click.exceptions.Exit):
        raise
    except KeyboardInterrupt as error:
        # The terminal has echoed ^C on the line where the cursor stands.
        raise _exit(error, "\nInterrupted." if sys.stderr.isatty() else "Interrupted.", 130, debug) from error
    except PyrovaeError as error:
        raise _exit(error, f"Error: {_line(str(error))}", error.exit_code, debug) from error
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader has gone, as in `pyrovae models | head`: click ends quietly
        forget(sys.stdout)
        raise _exit(error, f"Error: {_line(system(error))}", 1, debug) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise _exit(error, f"Error: {NO_MEMORY}", 1, debug) from error
        line = f"Error: {type(error).__name__}: {_line(str(error))}".removesuffix(": ")
        raise _exit(error, line if debug else f"{line} (run again with --debug to see where)", 1, debug) from error


def _options_like(error: click.NoSuchOption) -> list[str] | None:
    """The options that are meant by one that there is not, as they are typed."""
    if error.ctx is None:
        return error.possibilities
    params = error.ctx.command.get_params(error.ctx)
    known = {option for param in params for option in (*param.opts, *param.secondary_opts) if option[:2] == "--"}
    return likely(error.option_name, known) or error.possibilities


def _exit(error: BaseException, line: str, exit_code: int, debug: bool) -> click.exceptions.Exit:
    with suppress(OSError):
        if debug:
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        click.echo(line, err=True)
    return click.exceptions.Exit(exit_code)


def _line(text: str) -> str:
    """`text` on one line of bearable length: torch and CUDA write paragraphs."""
    text = " ".join(text.split())
    text = text if text.isprintable() else repr(text)[1:-1]  # names from files may hold what moves the cursor
    return text if len(text) <= 500 else f"{text[:499]}…"
