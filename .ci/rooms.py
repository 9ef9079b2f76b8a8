"""The rooms of the house in the words of their own files: a line each, or all their files; both are printed into pages.

Everything is read from the sources; nothing of the project is imported.
"""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOMS = (
    *("aliases", "errors", "_version", "config", "storage", "runtime", "options", "estimators", "pairs", "data"),
    *("registry", "nets", "lowering", "flows", "objectives", "likelihoods", "priors", "guides", "svi", "evaluation"),
    *("generation", "plots", "runs", "training", "comparison", "reproduction", "testing", "models", "cli"),
)
"""In the order of imports: that of `ORDER` in tests/house/test_rooms.py, as a test says."""

OUTSIDE = ("models", "cli")
"""Rooms that lie beside `pyrovae/`, not in it."""

WIDTH = 120


def first_line(path: Path) -> str:
    """Of the docstring of a file of Python."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not doc:
        raise SystemExit(f"{path} has no docstring: give it a first line that says what it is")
    return doc.partition("\n")[0]


def place(root: Path, room: str) -> Path:
    """The folder or the file of a room."""
    parent = root if room in OUTSIDE else root / "pyrovae"
    folder = parent / room
    return folder if folder.is_dir() else parent / f"{room}.py"


def item(name: str, text: str) -> str:
    """An item of a list in Markdown."""
    return textwrap.fill(
        f"- `{name}`: {text}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def lines(root: Path) -> str:
    """An item for each room: its name, and the first line of its file or of its `__init__.py`."""
    out = []
    for room in ROOMS:
        at = place(root, room)
        out.append(item(f"{room}/", first_line(at / "__init__.py")) if at.is_dir() else item(at.name, first_line(at)))
    return "\n".join(out)


def tree(root: Path) -> str:
    """An item for each file of Python of `pyrovae`, `models` and `cli`, a folder after the other."""
    loose = [root / "pyrovae" / name for name in ("__init__.py", "__main__.py")]
    loose += [at for room in ROOMS if not (at := place(root, room)).is_dir()]
    blocks = ["`pyrovae/`\n\n" + "\n".join(item(path.name, first_line(path)) for path in loose)]
    for room in ROOMS:
        if (at := place(root, room)).is_dir():
            blocks += [_block(root, folder) for folder in _folders(at)]
    return "\n\n".join(blocks)


def _folders(folder: Path) -> Iterator[Path]:
    """A folder of Python and those in it, without links."""
    if (folder / "__init__.py").is_file():
        yield folder
    for inside in sorted(folder.iterdir()):
        if inside.is_dir() and not inside.is_symlink():
            yield from _folders(inside)


def _block(root: Path, folder: Path) -> str:
    name = f"{folder.relative_to(root)}/"
    title = textwrap.fill(f"`{name}`: {first_line(folder / '__init__.py')}", WIDTH, break_on_hyphens=False)
    files = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    return title + "\n\n" + "\n".join(item(path.name, first_line(path)) for path in files)
