"""A command is a file, or an entry point of an installed package: neither needs an edit elsewhere."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import pyrovae.cli
from pyrovae.cli import _files, _group, cli

HELLO = '''"""Say hello to somebody."""

import click

SECTION = "Greet"


@click.command()
@click.argument("name")
def command(name):
    """Say hello to NAME, and nothing else."""
    click.echo(f"hello {name}")
'''

IN_ORDER = {
    "Fit": ["fit", "compare", "reproduce"],
    "Score": ["loglik", "gap", "evaluate"],
    "Look": ["inspect", "sample", "reconstruct", "interpolate", "encode"],
    "Check": ["selftest", "check"],
    "List": ["runs", "models", "guides", "data"],
}


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, args, prog_name="pyrovae")


def rows(text: str) -> dict[str, list[str]]:
    """Heading -> the names below it."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            found[line[:-1]] = names = []
        elif line.startswith("  ") and not line.startswith("   ") and found:
            names.append(line.split()[0])
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder more among those of the package pyrovae.cli."""
    monkeypatch.setattr(pyrovae.cli, "__path__", [*pyrovae.cli.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    return tmp_path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What an installed package leaves: a module in a package that must not be imported for help, and its metadata."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "greetings").mkdir()
    (tmp_path / "greetings/__init__.py").write_text("")
    (tmp_path / "greetings/hello.py").write_text(HELLO)
    info = tmp_path / "greetings-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[pyrovae.commands]\nhello = greetings.hello:command\ngreet = greetings.hello\nfit = greetings.hello\n"
    )
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "greetings"]:
        del sys.modules[name]


def test_ours_are_in_their_sections_and_in_order() -> None:
    found = rows(run("--help").output)
    assert {section: found[section] for section in _files.SECTIONS} == IN_ORDER
    assert cli.list_commands(click.Context(cli)) == [name for names in IN_ORDER.values() for name in names]


@pytest.mark.parametrize("file", cli.files().values(), ids=lambda file: file.stem)
def test_the_line_of_each_is_a_sentence_and_its_place_its_own(file: Path) -> None:
    about = _files.about(file)
    assert about.line[0].isupper()
    assert about.line.endswith(".")
    assert about.line in " ".join(run("--help").output.split()).replace("log- ", "log-")
    assert about.section in _files.SECTIONS
    assert sum(other[1:] == about[1:] for other in map(_files.about, cli.files().values())) == 1


def test_a_file_dropped_in_is_a_command(folder: Path) -> None:
    (folder / "say_hello.py").write_text(HELLO)
    (folder / "_hidden.py").write_text(HELLO)
    (folder / "fit.py").write_text(HELLO)
    text = run("--help").output
    assert "Greet:\n  say-hello  Say hello to somebody.\n" in text
    assert "hidden" not in text
    assert text.index("List:") < text.index("Greet:")
    assert rows(text)["Greet"] == ["say-hello"]  # a second fit.py does not take the place of ours
    try:
        assert run("say-hello", "Ada").output == "hello Ada\n"
        assert "Say hello to NAME" in run("say-hello", "--help").output
        assert "did you mean 'say-hello'?" in run("say-helo").stderr
    finally:
        del sys.modules["pyrovae.cli.say_hello"]


def test_a_file_that_does_not_parse_leaves_the_others_alone(folder: Path) -> None:
    (folder / "broken.py").write_text("def f(:\n")
    text = run("--help").output
    assert "Others:\n  broken  cannot be read: SyntaxError." in text
    assert "  fit " in text


def test_an_installed_package_adds_commands(package: Path) -> None:
    found = run("--help").output
    assert "Greet:\n  greet  Say hello to somebody.\n  hello  Say hello to somebody.\n" in found
    assert rows(found)["Fit"] == IN_ORDER["Fit"]  # ours win a name
    assert "greetings" not in sys.modules
    for name in ("hello", "greet"):
        assert run(name, "Ada").output == "hello Ada\n"
    assert run("fit", "--help").output.startswith("Usage: pyrovae fit [OPTIONS]\n")


def test_a_package_whose_file_is_not_found_is_listed(package: Path) -> None:
    (package / "greetings/hello.py").unlink()
    assert "  hello  From greetings.hello:command.\n" in run("--help").output
    assert run("hello", "Ada").exit_code == 1


def test_running_a_command_reads_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(_files, "about", never)
    monkeypatch.setattr(_group, "installed", never)
    assert run("models", "--json").exit_code == 0


def test_help_is_read_without_importing_commands() -> None:
    code = """if True:
        import sys
        from pyrovae.cli import cli
        cli(["--help"], standalone_mode=False)
        commands = [m for m in sys.modules if m.startswith("pyrovae.cli.") and "._" not in m]
        print([m for m in ("torch", "numpy", "pydantic") if m in sys.modules], commands)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[] []\n")
