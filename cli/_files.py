"""Commands are files: what a package of commands and installed packages offer, read without importing it."""

import ast
import functools
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyrovae.runtime.installed import file_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "pyrovae.commands"
"""The entry point group by which installed packages add commands."""

SECTIONS = ("Fit", "Score", "Look", "Check", "List")
"""In the order of the help; others come behind them, by the alphabet."""

OTHERS = "Others"
"""The section of a command that names none."""

LAST = 1000
"""The place of a command that names none."""


class About(NamedTuple):
    """What the help says of a command: its module's first line, `SECTION` and `PLACE` in it."""

    line: str
    section: str = OTHERS
    place: int = LAST


def files(folders: Iterable[str]) -> dict[str, Path]:
    """Name of each command -> its file: `cli/my_name.py` is `pyrovae my-name`."""
    return {name.replace("_", "-"): file for name, file in modules_in(folders).items()}


def modules_in(folders: Iterable[str]) -> dict[str, Path]:
    """Modules of a package without those that begin with `_`; where two have a name, the first."""
    found: dict[str, Path] = {}
    for folder in folders:
        for module in pkgutil.iter_modules([folder]):
            if not module.name.startswith("_") and not module.ispkg:
                found.setdefault(module.name, Path(folder) / f"{module.name}.py")
    return found


def in_order(found: dict[str, About]) -> dict[str, About]:
    """By section, then by place, then by the alphabet."""

    def key(name: str) -> tuple[int, str, int, str]:
        _, section, place = found[name]
        rank = SECTIONS.index(section) if section in SECTIONS else len(SECTIONS) + (section == OTHERS)
        return rank, section, place, name

    return {name: found[name] for name in sorted(found, key=key)}


@functools.cache
def about(file: Path) -> About:
    """The first line of the docstring, `SECTION` and `PLACE` of a module; a file that cannot be read says so."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        return About(f"cannot be read: {type(error).__name__}.")
    line = (ast.get_docstring(tree) or "").partition("\n")[0]
    section, place = _constant(tree, "SECTION"), _constant(tree, "PLACE")
    return About(line, section if isinstance(section, str) else OTHERS, place if isinstance(place, int) else LAST)


def about_point(point: "EntryPoint") -> About:
    """The same of the module that an entry point names; where it came from if its file is not found."""
    file = file_of(point.module)
    found = None if file is None else about(file)
    return About(f"From {point.value}.") if found is None or not found.line else found


def _constant(tree: ast.Module, name: str) -> object:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.Constant(value=value)) if found == name:
                return value
    return None
