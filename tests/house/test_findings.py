"""The scripts of findings/ are told of in its README.md, and have the form that it states; none is run here."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "findings"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
SCRIPTS = sorted(FOLDER.glob("*.sh"))


def head(script: str) -> str:
    """The comment at the head, without its signs."""
    lines = script.splitlines()[1:]
    length = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.removeprefix("#").strip() for line in lines[:length])


def pins(text: str) -> list[str]:
    return re.findall(r"^[^#\n]*?\bpip\"? install ([^\n]*)", text, flags=re.MULTILINE)


def test_the_table_has_a_row_for_each_script_and_none_for_others():
    rows = re.findall(r"^\| `([^`]+)` \|", README, flags=re.MULTILINE)
    assert rows == [script.stem for script in SCRIPTS]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_the_form(path):
    script = path.read_text(encoding="utf-8")
    about, commands = head(script), [line for line in script.splitlines() if line and not line.startswith("#")]
    assert script.startswith("#!/usr/bin/env bash\n# ")
    assert commands[:3] == ["set -euo pipefail", "work=$(mktemp -d)", """trap 'rm -rf "$work"' EXIT"""]
    installed = [word for line in pins(script) for word in line.split() if not word.startswith("-")]
    assert installed and all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.]*", word) for word in installed), installed
    first, version = re.match(r"([a-z0-9-]+) ([0-9.]+[0-9])\b", about).groups()
    assert f"{first}=={version}" in installed
    assert f"| `{path.stem}` | {first} {version} |" in README
    assert re.search(r"Seen in [A-Z][a-z]+ 20\d\d", about)
    assert "pyrovae" not in script
    assert "assert " in script or "raise SystemExit" in script
    assert path.stat().st_mode & 0o100


def test_the_command_that_is_shown_is_there():
    shown = re.findall(r"bash findings/([a-z-]+\.sh)", README)
    assert shown and all((FOLDER / name).exists() for name in shown)


def test_the_form_is_looked_for():
    assert head("#!x\n# a b\n# c\nset\n# d\n") == "a b c"
    assert pins('# pip install a==1\n"$v/bin/pip" install --quiet b==2 c\n') == ["--quiet b==2 c"]
