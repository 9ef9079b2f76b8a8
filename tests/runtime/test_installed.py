"""Entry points of installed packages are remembered, and found anew where packages come and go."""

import importlib.metadata
import os
import sys
import zipfile

import pytest

from pyrovae.runtime.installed import file_of, installed


def package(folder, name, points):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pyrovae.models]\n" + points)


@pytest.fixture
def looks(monkeypatch):
    """How often the packages were looked through."""
    found, look = [], importlib.metadata.entry_points
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **of: (found.append(of), look(**of))[1])
    return found


def test_a_package_is_found_when_it_is_installed_and_no_longer_when_it_is_gone(tmp_path, monkeypatch, looks):
    before = installed("pyrovae.models")
    monkeypatch.syspath_prepend(tmp_path)
    assert installed("pyrovae.models") == before
    package(tmp_path, "one", "mine = one:Mine\n")
    os.utime(tmp_path, ns=(1, 1))  # on a file system with coarse times, too
    assert installed("pyrovae.models")["mine"].value == "one:Mine"
    assert "mine" not in installed("pyrovae.guides")
    count = len(looks)
    assert "mine" in installed("pyrovae.models")
    assert len(looks) == count
    monkeypatch.undo()
    assert "mine" not in installed("pyrovae.models")


def test_packages_are_looked_through_only_where_one_may_add(tmp_path, monkeypatch, looks):
    group = "pyrovae.none"
    assert installed(group) == {}
    assert not looks
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("zipped-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipped\nVersion: 1.0\n")
        archive.writestr("zipped-1.0.dist-info/entry_points.txt", f"[{group}]\nmine = zipped:Mine\n")
    monkeypatch.syspath_prepend(tmp_path / "packed.zip")
    assert installed(group)["mine"].value == "zipped:Mine"
    assert looks


def test_a_finder_of_packages_that_lie_elsewhere_is_asked(monkeypatch, looks):
    class Finder:
        @staticmethod
        def find_distributions(context=None):
            return []

    monkeypatch.setattr("sys.meta_path", [*sys.meta_path, Finder])
    assert installed("pyrovae.none_either") == {}
    assert looks


def test_of_two_packages_that_add_a_name_the_first_on_the_path_has_it(tmp_path, monkeypatch):
    for name in ("second", "first"):
        package(tmp_path / name, name, f"mine = {name}:Mine\n")
        monkeypatch.syspath_prepend(tmp_path / name)
    assert installed("pyrovae.models")["mine"].value == "first:Mine"


def test_what_is_given_away_is_a_copy():
    installed("pyrovae.models").clear()
    installed("pyrovae.models")["other"] = None
    assert "other" not in installed("pyrovae.models")


def test_a_module_is_found_without_running_what_is_around_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "around" / "inner").mkdir(parents=True)
    for file in ("around/__init__.py", "around/inner/__init__.py", "around/inner/mine.py"):
        (tmp_path / file).write_text("raise SystemExit('it ran')\n")
    assert file_of("around.inner.mine") == tmp_path / "around" / "inner" / "mine.py"
    assert file_of("around.inner") == tmp_path / "around" / "inner" / "__init__.py"
    assert [file_of(name) for name in ("around.other", "around.inner.mine.more", "sys", "", ".around", "no_such")] == [
        None
    ] * 6
