"""Records of decisions: their form, their index and the files that they name; so of CONTRIBUTING.md."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from test_rooms import ORDER

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "decisions"
RECORDS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
DESIGN = sorted((ROOT / "docs" / "design").glob("*.md"))

HEAD = re.compile(
    r"# (?P<number>\d{4}) (?P<title>.+)\n\n- Status: (?P<status>accepted|superseded by (?P<by>\d{4}))\n"
    r"- Date: (?P<date>\d{4}-(?:0[1-9]|1[0-2]))\n- Files: (?P<files>(?:.+\n)(?:  .+\n)*)\n## "
)
HEADINGS = ["Question", "Decision", "Tried", "Consequences"]
NEEDED = HEADINGS[:2]

NAMED = re.compile(r"`([\w.-]+(?:/[\w.-]+)+\.\w+)`")
"""A path with a folder and a suffix."""

PLACES = (ROOT, ROOT / "pyrovae")
"""From which a path may be written."""


def rooms() -> ModuleType:
    """`.ci/rooms.py`, which lies in no package."""
    spec = importlib.util.spec_from_file_location("rooms", ROOT / ".ci" / "rooms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def head(path: Path) -> re.Match[str]:
    match = HEAD.match(path.read_text(encoding="utf-8"))
    assert match, f"{path.name}: title, Status, Date, Files and the first heading are not as in README.md"
    return match


def paths(text: str) -> set[str]:
    """Of files that are named; NAME stands for any."""
    return {name for name in NAMED.findall(text) if Path(name).stem != "NAME"}


def missing(names: set[str]) -> list[str]:
    return sorted(name for name in names if not any((place / name).exists() for place in PLACES))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_its_form(path):
    text, at = path.read_text(encoding="utf-8"), head(path)
    assert re.fullmatch(rf"{at['number']}(-[a-z0-9]+)+\.md", path.name)
    assert text.count("\n") <= 60
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == [each for each in HEADINGS if each in headings]
    assert set(NEEDED) <= set(headings)
    parts = re.split(r"^## .*\n", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)
    assert at["by"] is None or (at["by"] != at["number"] and list(FOLDER.glob(f"{at['by']}-*.md")))


@pytest.mark.parametrize("path", [*RECORDS, FOLDER / "README.md", *DESIGN], ids=lambda path: path.stem)
def test_files_that_it_names_are_there(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    names = paths(text)
    if path in RECORDS:
        files = re.findall(r"`([^`]+)`", head(path)["files"])
        assert files and re.sub(r"`[^`]+`|[,\s]", "", head(path)["files"]) == ""
        assert not [name for name in files if not (ROOT / name).is_file()]
    assert not missing(names)
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert not [link for link in links if not (path.parent / link).exists()]


def test_numbers_run_without_a_gap():
    assert [head(path)["number"] for path in RECORDS] == [f"{i:04d}" for i in range(1, len(RECORDS) + 1)]


def test_the_index_has_every_record_and_none_else():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    told = [(number, name, title, status) for number, name, title, _, status in table]
    assert told == [(at["number"], path.name, at["title"], at["status"]) for path in RECORDS for at in [head(path)]]
    assert len(re.findall(r"^\| \[", text, re.MULTILINE)) == len(table)


def test_rooms_are_printed_in_the_order_of_imports():
    assert list(rooms().ROOMS) == " ".join(ORDER).split()


def test_contributing_names_files_that_are_there():
    assert not missing(paths(CONTRIBUTING))


@pytest.mark.parametrize("path", DESIGN, ids=lambda path: path.stem)
def test_a_page_of_design_is_of_bearable_length(path):
    """What is printed into it set aside."""
    text = re.sub(r"<!-- printed: tree -->.*?<!-- end -->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert text.count("\n") <= 200
