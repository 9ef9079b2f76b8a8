"""What is packaged, and what is imported by the lists and by help."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("pyrovae", "models", "cli")
LINKS = {f"pyrovae/{room}" for room in ROOMS[1:]}


def files(room: str) -> list[Path]:
    found = (ROOT / room).rglob("*.py")
    return [path for path in found if not any(str(path.relative_to(ROOT)).startswith(f"{link}/") for link in LINKS)]


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(names: set[str], *packages: str) -> set[str]:
    return {name for name in names if any(name == package or name.startswith(f"{package}.") for package in packages)}


def test_the_only_name_in_site_packages_is_pyrovae():
    top = importlib.metadata.distribution("pyrovae").read_text("top_level.txt")
    assert top is not None
    assert top.split() == ["pyrovae"]


@pytest.mark.parametrize("name", ROOMS[1:])
def test_no_generic_name_is_imported(name):
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"pyrovae.{name}" in done.stderr


@pytest.mark.parametrize("path", [p for room in ROOMS for p in files(room)], ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    assert not within(imports(path), "pickle", "cloudpickle", "dill", "joblib")
    assert not re.search(r"(?<!safetensors\.)torch\.load\(", path.read_text(encoding="utf-8"))


def test_lists_and_help_import_no_torch():
    for words in (["--help"], ["models"], ["guides"], ["data"]):
        run = f"from pyrovae.cli import cli; cli({words!r}, standalone_mode=False)"
        code = f"import sys; {run}; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
