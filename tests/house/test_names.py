"""Every dotted path that a docstring or a comment names is there."""

import ast
import importlib
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"(?<![\w./-])pyrovae(?:\.[A-Za-z_]\w*)+(?!\w*[/(]?\.py)")


def files(room=None):
    """Of the four packages; links to folders are left out."""
    for folder in [ROOT / each for each in ("pyrovae", "models", "cli", "benchmarks")] if room is None else [room]:
        yield from sorted(folder.glob("*.py"))
        for inside in sorted(folder.iterdir()):
            if inside.is_dir() and not inside.is_symlink():
                yield from files(inside)


def texts(path):
    """Docstrings and comments; a string that documents a constant counts."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def named():
    return sorted({(name, path) for path in files() for text in texts(path) for name in NAME.findall(text)})


def resolves(name):
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if part in getattr(found, "__annotations__", ()):
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


GROUPS = {"pyrovae.models", "pyrovae.guides", "pyrovae.objectives", "pyrovae.data", "pyrovae.commands"}
"""Entry point groups, which are no modules though some have the name of one."""


def test_a_name_in_a_docstring_resolves():
    found = named()
    assert len(found) > 40
    wrong = [
        f"{path.relative_to(ROOT)} speaks of {name}" for name, path in found if not (name in GROUPS or resolves(name))
    ]
    assert not wrong, "\n".join(wrong)
    assert not resolves("pyrovae.no_such_room")
    assert not resolves("pyrovae.data.no_such_name")
