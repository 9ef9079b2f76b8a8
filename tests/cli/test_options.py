import errno
import os
import subprocess
import sys
from ast import literal_eval
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import Field

from pyrovae.cli._group import LazyGroup
from pyrovae.cli._model_command import ModelCommand
from pyrovae.cli._options import debug_option, options_of
from pyrovae.config import Config, from_signature
from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.runtime.progress import progress


class Many(Config):
    latent_dim: int = Field(20, description="dimensions of z")
    lr: float = 1e-3
    compile: bool = True
    activation: Literal["tanh", "relu"] = "tanh"
    bits: Literal[5, 8] = 8
    hidden: tuple[int, ...] = (200, 200)
    size: tuple[int, int] = (8, 8)
    out: Path | None = None
    chunk: int | Literal["auto"] = "auto"
    limit: int | None = None
    nested: dict[str, int] = Field(default_factory=dict)


def run(config: type[Config], *args: str) -> Result:
    command = click.Command("fit", params=list(options_of(config)), callback=lambda **options: options)
    return CliRunner().invoke(command, args, standalone_mode=False)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("", {}),
        ("--latent-dim 3", {"latent_dim": 3}),
        ("--latent-dim 0", {"latent_dim": 0}),
        ("--lr 1e-2", {"lr": 0.01}),
        ("--no-compile", {"compile": False}),
        ("--compile", {"compile": True}),
        ("--activation relu", {"activation": "relu"}),
        ("--bits 5", {"bits": 5}),
        ("--hidden 10,20,30", {"hidden": (10, 20, 30)}),
        ("--hidden=", {"hidden": ()}),
        ("--size 28,28", {"size": (28, 28)}),
        ("--out runs/x", {"out": Path("runs/x")}),
        ("--chunk 10", {"chunk": 10}),
        ("--chunk auto", {"chunk": "auto"}),
        ("--limit 7", {"limit": 7}),
    ],
)
def test_options_parse_and_what_is_not_given_is_absent(args: str, expected: dict[str, Any]) -> None:
    options = run(Many, *args.split()).return_value
    found = {field: value for field, value in options.items() if value is not None}
    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]
    assert Many(**found).latent_dim == expected.get("latent_dim", 20)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--hidden 200;200", "'200;200' is no list with commas"),
        ("--hidden 200,", "'200,' is no list"),
        ("--size 8", "has 1 values, not 2"),
        ("--bits 6", "'6' is not one of '5', '8'"),
        ("--chunk many", "'many' is none of integer|auto"),
        ("--nested 1", "No such option"),
    ],
)
def test_bad_values_are_usage_errors(args: str, words: str) -> None:
    error = run(Many, *args.split()).exception
    assert isinstance(error, click.UsageError)
    assert words in error.format_message()


def test_help_names_type_purpose_and_default() -> None:
    command = click.Command("fit", params=list(options_of(Many)))
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    for words in ("--latent-dim INTEGER", "dimensions of z  [default: 20]", "--no-compile", "[default: compile]"):
        assert words in text
    for words in ("[default: 200,200]", "[tanh|relu]", "--hidden INTEGER,..."):
        assert words in text
    assert "None" not in text


def test_options_of_a_signature() -> None:
    config = from_signature(lambda depth=2, widths=(3, 4), name=None: None)
    options = run(config, "--depth", "5", "--widths", "1,2").return_value
    assert options == {"depth": 5, "widths": (1, 2), "name": None}


class VAE(Config):
    latent_dim: int = 20


class CVAE(Config):
    latent_dim: int = 20
    num_classes: int = 10


class Training(Config):
    epochs: int = 20
    learning_rate: float = 1e-3


MODELS: dict[str, type[Config]] = {"vae": VAE, "cvae": CVAE}


def configs(model: str | None) -> dict[str, type[Config]]:
    if model is not None and model not in MODELS:
        raise UsageError(f"no model '{model}'")
    return {"Training": Training} | ({f"Options of {model}": MODELS[model]} if model else {})


@click.command("fit", cls=ModelCommand, configs=configs)
@click.option("--model", "-m")
@click.option("--config", type=click.Path())
@debug_option
def fit(**options: Any) -> None:
    """Fit."""
    click.echo(repr({key: value for key, value in options.items() if value is not None}))


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> click.Group:
    """A group of commands `fit`, `ok` and `boom`, where `boom` raises what the context object holds."""
    boom = click.Command("boom", callback=click.pass_obj(throw), params=[])
    debug_option(boom)
    for name, command in (("fit", fit), ("ok", click.Command("ok", callback=lambda: None)), ("boom", boom)):
        module = ModuleType(f"fake_cli.{name}")
        module.__dict__["command"] = command
        monkeypatch.setitem(sys.modules, module.__name__, module)
    package = ModuleType("fake_cli")
    package.__path__ = [str(tmp_path / "fake_cli")]
    monkeypatch.setitem(sys.modules, "fake_cli", package)
    (tmp_path / "fake_cli").mkdir()
    for name in ("fit", "ok", "boom", "absent"):
        (tmp_path / f"fake_cli/{name}.py").write_text('"""One line."""\nimport fake_cli.nothing\n')
    return debug_option(LazyGroup("fake", package="fake_cli"))


def throw(error: BaseException) -> None:
    raise error


def invoke(group: click.Group, *args: str, obj: Any = None) -> Result:
    return CliRunner().invoke(group, args, obj=obj)


@pytest.mark.parametrize(
    "args",
    [
        ("--model", "cvae", "--num-classes", "3"),
        ("--num-classes", "3", "--model=cvae"),
        ("-m", "cvae", "--num-classes=3"),
        ("--num-classes", "3", "-mcvae"),
        ("--model", "vae", "--model", "cvae", "--num-classes", "3"),
    ],
)
def test_the_model_brings_its_options(group: click.Group, args: tuple[str, ...]) -> None:
    result = invoke(group, "fit", *args, "--epochs", "2")
    assert literal_eval(result.output) == {"model": "cvae", "epochs": 2, "num_classes": 3}


def test_the_model_may_stand_in_the_config_file(group: click.Group, tmp_path: Path) -> None:
    file = tmp_path / "fit.toml"
    file.write_text('model = "cvae"\n')
    result = invoke(group, "fit", "--config", str(file), "--num-classes", "3")
    assert literal_eval(result.output) == {"config": str(file), "num_classes": 3}
    assert invoke(group, "fit", "--config", str(file), "--model", "vae", "--num-classes", "3").exit_code == 2
    file.write_text("model = 3\n")
    result = invoke(group, "fit", "--config", str(file))
    assert (result.exit_code, result.stderr) == (
        2,
        f'Error: config file {file}: model = 3 is no name: write model = "cvae"\n',
    )


def test_help_has_a_heading_for_each_config(group: click.Group) -> None:
    text = invoke(group, "fit", "--model", "cvae", "--help").output
    places = [text.index(words) for words in ("\nOptions:", "--model", "\nTraining:", "--epochs", "\nOptions of cvae:")]
    assert places == sorted(places)
    assert text.index("--num-classes") > places[-1]
    assert "Options of" not in invoke(group, "fit", "--help").output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("fit -m cvae --num-clases 3", "--num-classes"),
        ("fit -m cvae --learning-rat 3", "--learning-rate"),
        ("fit -m cvae --modell x", "--model"),
        ("fit -m vae --num-classes 3", "No such option"),
        ("fit --latent-dim 3", "need --model NAME"),
        ("fit -m nothing", "Error: no model 'nothing'\n"),
        ("fti", "No such command 'fti': did you mean 'fit'?"),
        ("--hlep", "No such option"),
    ],
)
def test_wrong_names_are_usage_errors(group: click.Group, args: str, words: str) -> None:
    result = invoke(group, *args.split())
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no model 'x'"), 2, "Error: no model 'x'"),
        (PyrovaeError("two\nlines"), 1, "Error: two lines"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (
            OSError(errno.ENOSPC, "No space", "runs/x"),
            1,
            "Error: runs/x: the disk is full: free some space or write elsewhere",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "runs/x"),
            1,
            "Error: runs/x: permission denied: use another place, or change its permissions",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a"), 1, "Error: a: No such file or directory"),
        (OSError("timed out"), 1, "Error: timed out"),
        (KeyError("x"), 1, "Error: KeyError: 'x' (run again with --debug to see where)"),
        (EOFError(), 1, "Error: EOFError (run again with --debug to see where)"),
        (RuntimeError("a\n" * 999), 1, None),
        (click.ClickException("as click"), 1, "Error: as click"),
        (click.exceptions.Exit(7), 7, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_errors_are_one_line_with_their_exit_code(
    group: click.Group, error: BaseException, code: int, line: str | None
) -> None:
    result = invoke(group, "boom", obj=error)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.count("\n") <= 1
    assert len(result.stderr) < 600
    if line is not None:
        assert result.stderr.rstrip("\n") == line


def test_a_broken_pipe_is_quiet(group: click.Group) -> None:
    result = invoke(group, "boom", obj=BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (result.exit_code, result.output) == (1, "")


@pytest.mark.parametrize("args", [("boom", "--debug"), ("--debug", "boom")])
def test_debug_shows_the_traceback_wherever_it_stands(group: click.Group, args: tuple[str, ...]) -> None:
    result = invoke(group, *args, obj=UsageError("no model 'x'"))
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert "in throw" in result.stderr
    assert result.stderr.endswith("Error: no model 'x'\n")


def test_a_command_that_cannot_be_imported_is_an_error_of_its_own(group: click.Group) -> None:
    assert invoke(group, "--help").exit_code == 0
    result = invoke(group, "absent")
    assert result.exit_code == 1
    assert "fake_cli" in result.stderr


def python(code: str, **kwargs: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **kwargs)


def test_help_and_version_import_nothing_heavy() -> None:
    code = """if True:
        import sys
        from click.testing import CliRunner
        from pyrovae.cli import cli
        text = CliRunner().invoke(cli, ["--help"]).output
        assert all(f"  {name} " in text for name in cli.files()), text
        assert CliRunner().invoke(cli, ["--version"]).output.startswith("pyrovae ")
        print([name for name in ("torch", "numpy", "pydantic", "rich", "matplotlib") if name in sys.modules])
    """
    done = python(code)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_python_m_pyrovae() -> None:
    done = subprocess.run([sys.executable, "-m", "pyrovae", "ft"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "did you mean 'fit'?" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "pyrovae", "--help"]
        buffered = {
            **os.environ,
            "PYTHONUNBUFFERED": "",
        }  # the interpreter then flushes, and complains, once more at exit
        done = subprocess.run(command, env=buffered, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "Error: the disk is full: free some space or write elsewhere\n")


def test_the_package_has_one_name() -> None:
    done = python("import cli", cwd=Path(__file__).parents[2])
    assert "imported as pyrovae.cli, not as cli" in done.stderr


def test_progress_in_a_pipe_is_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as shown:
        shown.start("vae", total=20)
        for i in range(20):
            shown.advance(ELBO=-26.0 + i / 100, held_out=None, lr=1e-3)
        shown.line("a note")
        shown.start("loglik", total=100)
        shown.advance(10)
        shown.advance(20, ESS=41.5)  # too soon for a line, but the last state of a task that ends early
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "vae 1/20  ELBO -26.00  lr 0.001",
        "vae 20/20  ELBO -25.81  lr 0.001",
        "a note",
        "loglik 10/100",
        "loglik 30/100  ESS 41.50",
    ]


@pytest.mark.parametrize(("enabled", "rank"), [(False, "0"), (None, "1")])
def test_progress_is_silent_when_told_so_and_in_other_processes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, enabled: bool | None, rank: str
) -> None:
    monkeypatch.setenv("RANK", rank)
    with progress(enabled) as shown:
        shown.start("vae", total=1)
        shown.advance()
        shown.line("a note")
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_gives_the_cursor_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def interrupted() -> None:
        with progress() as shown:
            shown.start("vae [x]", total=20)
            shown.advance(ELBO=-25.31, held_out=-26.02, best=-25.9, lr=1e-3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.rindex("\x1b[?25h") > err.rindex("\x1b[?25l")
    assert "ELBO -25.31  held-out -26.02  best -25.90  lr 0.001" in err
    assert "vae [x]" in err
