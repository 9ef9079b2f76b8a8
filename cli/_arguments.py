"""What commands take as arguments: runs, data, names, devices, and files to write; a shell completes each of them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from pyrovae.data.catalogue import sources
from pyrovae.errors import UsageError
from pyrovae.registry.names import Kind, describe
from pyrovae.runtime.device_names import require_device_name

RUN_FILE = "run.json"

LISTED = 1000
"""Folders that are looked into for runs, at most: a shell waits for it."""


class Completed(click.ParamType):
    """A text that is taken as it is; what is wrong with it is told where it is looked up."""

    def values(self, incomplete: str) -> Iterator[CompletionItem]:
        """What a shell offers."""
        raise NotImplementedError

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """The text."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Those of `values` that begin so; files where none does."""
        found = [item for item in self.values(incomplete) if item.value.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class Names(Completed):
    """The name of one of a kind of thing, with options behind it, or the user's own file.

    Args:
        kind: a folder of the registry.
        several: whether a list with commas between them is taken.
    """

    name = "spec"

    def __init__(self, kind: Kind, several: bool = False) -> None:
        self.kind, self.several = kind, several

    def values(self, incomplete: str) -> Iterator[CompletionItem]:
        """Names of that kind; behind a comma, or behind `z1=`, the next one."""
        before = incomplete[: max(map(incomplete.rfind, ",=")) + 1] if self.several else ""
        return (CompletionItem(before + name, help=line) for name, line in describe(self.kind).items())


class Data(Completed):
    """The name of a data set, or a path."""

    name = "data"

    def values(self, incomplete: str) -> Iterator[CompletionItem]:
        """Names of data sets."""
        return (CompletionItem(name, help=source.summary) for name, source in sources().items())


class RunFolder(Completed):
    """A run directory.

    Args:
        text: whether the command takes its path as a text.
    """

    name = "run"

    def __init__(self, text: bool = False) -> None:
        self.text = text

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """Its path."""
        return str(value) if self.text else Path(str(value))

    def values(self, incomplete: str) -> Iterator[CompletionItem]:
        """Run directories, below the folder that is typed and one further down; hidden ones are left out."""
        typed = incomplete[: incomplete.rfind("/") + 1]
        for folder in _runs_in(Path(typed), 2):
            yield CompletionItem(f"{typed}{folder.relative_to(typed or '.')}")


def _runs_in(folder: Path, depth: int) -> Iterator[Path]:
    with suppress(OSError):
        for path in sorted(folder.iterdir())[:LISTED]:
            if path.name.startswith(".") or not path.is_dir():
                continue
            if (path / RUN_FILE).is_file():
                yield path
            elif depth > 1:
                yield from _runs_in(path, depth - 1)


class Device(Completed):
    """The name of a device; whether there is one, only torch can tell."""

    name = "text"

    def values(self, incomplete: str) -> Iterator[CompletionItem]:
        """Kinds of device."""
        return map(CompletionItem, ("auto", "cpu", "cuda", "mps"))

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; UsageError where it is none."""
        require_device_name(str(value))
        return str(value)


class Output(click.Path):
    """A file that is to be written, whose name ends in one of `suffixes`; refused before any work is done."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__(path_type=Path)
        self.suffixes = suffixes

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; UsageError for another ending, and for what no file could be written to."""
        out, option = Path(str(value)), "--out" if param is None else param.opts[-1]
        if out.suffix not in self.suffixes:
            *others, last = self.suffixes
            raise UsageError(f"{option} {out}: end the name in {' or '.join([', '.join(others), last][not others :])}")
        if not out.parent.is_dir():
            raise UsageError(f"{option} {out}: there is no folder {out.parent}: make it first")
        if out.is_dir():
            raise UsageError(f"{option} {out} is a folder: name a file")
        if out.suffix == ".parquet":
            from pyrovae.storage.tables import require_writable  # not before it is needed: it waits for numpy

            require_writable(out)
        return out
