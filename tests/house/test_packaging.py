"""What is packaged, and what is imported by the lists and by help."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import click
import pytest

from pyrovae import __version__

ROOT = Path(__file__).parents[2]
ROOMS = ("pyrovae", "models", "cli")
LINKS = {f"pyrovae/{room}" for room in ROOMS[1:]}
PUBLISHED = ROOT / "pyrovae" / "reproduction" / "published"


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


def built(hook: str, root: Path, folder: Path) -> Path:
    """What the build backend of a tree makes, called as pip calls it (PEP 517, 660)."""
    backend = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["build-backend"]
    code = f"import sys, {backend}; open(sys.argv[1] + '.name', 'w').write({backend}.{hook}(sys.argv[1]))"
    folder.mkdir()
    call = subprocess.run([sys.executable, "-c", code, folder], cwd=root, capture_output=True, text=True)
    assert call.returncode == 0, call.stderr
    return folder / Path(f"{folder}.name").read_text()


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose child `pyrovae` is a checkout, as after `git clone`."""
    folder = tmp_path_factory.mktemp("parent")
    for name in (*ROOMS, ".editable"):
        shutil.copytree(ROOT / name, folder / "pyrovae" / name, symlinks=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", ".gitignore"):
        shutil.copy(ROOT / name, folder / "pyrovae" / name)
    return folder


@pytest.fixture(scope="module")
def wheel(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("build_wheel", parent / "pyrovae", tmp_path_factory.mktemp("wheel") / "dist")


def content(wheel: Path) -> dict[str, bytes]:
    """Name -> content of the files of a wheel, without what says how it was made."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(("/RECORD", "/WHEEL"))}


def test_the_wheel_holds_the_files_of_the_house_and_nothing_else(wheel):
    house = {path.relative_to(ROOT) for room in ROOMS for path in files(room)}
    house |= {path.relative_to(ROOT) for end in ("*.toml", "*.json") for path in PUBLISHED.rglob(end)}
    expected = {str(path if path.parts[0] == "pyrovae" else "pyrovae" / path) for path in house}
    about = {f"pyrovae-{__version__}.dist-info/{name}" for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")}
    assert set(content(wheel)) == expected | {"pyrovae/py.typed"} | about
    assert len([name for name in expected if name.endswith(".json")]) > 5


def test_the_wheel_of_the_source_archive_is_the_same(wheel, parent, tmp_path):
    """From which the links are missing."""
    with tarfile.open(built("build_sdist", parent / "pyrovae", tmp_path / "dist")) as archive:
        archive.extractall(tmp_path, filter="data")
    root = tmp_path / f"pyrovae-{__version__}"
    assert not [path for path in root.rglob("*") if path.is_symlink()]
    assert content(built("build_wheel", root, tmp_path / "again")) == content(wheel)


@pytest.mark.parametrize("way", ["build_editable", "build_wheel"])
def test_an_install_is_found_from_the_folder_that_holds_the_clone(way, parent, tmp_path):
    """There Python comes by a folder `pyrovae` that is no package, before it comes to the one that is installed.

    The wheel is unpacked into a fresh environment, which is all that an installer does with it but for the command.
    """
    made = built(way, parent / "pyrovae", tmp_path / "dist")
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def says(code: str) -> str:
        call = subprocess.run([python, "-c", code], cwd=parent, env=alone, capture_output=True, text=True)
        assert call.returncode == 0, call.stderr
        return call.stdout.strip()

    packages = Path(says("import sysconfig; print(sysconfig.get_path('purelib'))"))
    with zipfile.ZipFile(made) as archive:
        archive.extractall(packages)
    # Last of all, where click is: with the other dependencies, and with a pyrovae where these tests run on a wheel.
    (packages / "zz.pth").write_text(str(Path(click.__file__).parents[1]))

    place = packages if way == "build_wheel" else parent / "pyrovae" / ".editable"
    found = says("import pyrovae.errors, pyrovae.cli, pyrovae.models; print(pyrovae.__file__)")
    assert Path(found) == place / "pyrovae" / "__init__.py"
    assert says("from importlib.metadata import *; print(distribution('pyrovae').entry_points['pyrovae'].value)") == (
        "pyrovae.cli:main"
    )
    # With the whole clone on the path, `import models`, `import cli` and `import tests` of a user would find ours.
    on_path = [Path(path) for path in says("import sys; print(*sys.path[1:], sep=chr(10))").splitlines()]
    assert [path for path in on_path if parent in path.parents] == ([] if place == packages else [place])
    assert place == packages or [path.name for path in place.iterdir()] == ["pyrovae"]


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
