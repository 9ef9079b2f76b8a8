"""An estimator of `pyrovae loglik` is a file, or an entry point: options, defaults and table are its own."""

import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

import pyrovae.cli._methods
from pyrovae import evaluation
from pyrovae.cli import _method, cli
from pyrovae.errors import UsageError
from pyrovae.estimators import Chains, Importance
from pyrovae.pairs.pair import Pair
from pyrovae.runs.run import Run

COMMON = {"split", "method", "limit", "seed", "compile", "out", "max-memory", "json", "debug", "device", "trust"}
COMMON |= {"no-compile", "data", "data-root", "help", "explain"}

OWN = {
    "is": {"samples", "chunk", "proposal", "wider", "target-se", "max-samples", "worst"},
    "ais": {"steps", "chains", "leapfrog", "start"},
    "bdmc": {"steps", "chains", "leapfrog", "start"},
}

CONSTANT = '''"""Always the same."""

from types import SimpleNamespace

from pydantic import Field

from pyrovae.config import Config

ARRAYS = ()


class Options(Config):
    value: float = Field(2.0, ge=0, le=9, description="What is said.")


def estimate(run, options, common):
    return SimpleNamespace(summary=lambda: {"log_likelihood": options.value, "seed": common["seed"]})


def rows(summary):
    return [("log-likelihood", f"{summary['log_likelihood']} for sure")]
'''


def run(*args: Any) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="pyrovae")


def options_in(text: str) -> set[str]:
    """Those that a help lists."""
    lines = re.findall(r"^  (-.*)", text, re.MULTILINE)
    return {name for line in lines for name in re.findall(r"--([a-z-]+)", line[:30])}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is no run: the estimator here does not read it."""
    pair = Pair(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    monkeypatch.setattr("pyrovae.cli._runs.require_run", lambda path, trust: None)
    monkeypatch.setattr("pyrovae.runs.loading.load", lambda path, device, trust: SimpleNamespace(pair=pair))


@pytest.mark.parametrize("method", OWN)
def test_help_lists_what_the_method_takes(method: str) -> None:
    text = run("loglik", "run", "--method", method, "--help").output
    assert f"Options of --method {method}:" in text
    assert options_in(text) == COMMON | OWN[method]
    for name, field in _method.find(method).config.model_fields.items():
        if field.default is not None:
            assert f"[default: {field.default}]" in " ".join(text.split()), name


def test_without_a_method_it_is_the_default() -> None:
    text = run("loglik", "--help").output
    assert text == run("loglik", "--method", "is", "--help").output
    assert "[is|ais|bdmc]" in text
    assert "[default: auto]" in " ".join(text.split("--chunk")[1].split()[:20])


@pytest.mark.parametrize(
    ("method", "option", "of"),
    [
        *(("is", option, "ais or bdmc") for option in sorted(OWN["ais"])),
        *((method, option, "is") for method in ("ais", "bdmc") for option in sorted(OWN["is"])),
    ],
)
def test_an_option_of_another_method_is_refused(method: str, option: str, of: str) -> None:
    for words in ((f"--{option}", 5), (f"--{option}=5",)):
        result = run("loglik", "run", *words, "--method", method)
        sentence = f"Error: --{option} is an option of --method {of}: leave it out with {method}\n"
        assert (result.exit_code, result.stderr) == (2, sentence)


def test_an_option_of_no_method_is_for_click_to_refuse() -> None:
    result = run("loglik", "run", "--sample", 5)
    assert result.exit_code == 2
    assert re.search(r"No such option:? '?--sample\b", result.stderr)
    assert "'harmonic' is not one of 'is', 'ais', 'bdmc'" in run("loglik", "--method", "harmonic", "--chains", 3).stderr


@pytest.mark.parametrize(
    ("function", "config"),
    [
        (evaluation.log_likelihood, Importance),
        (evaluation.log_likelihood_over_ranks, Importance),
        (Run.log_likelihood, Importance),
        (evaluation.ais, Chains),
        (evaluation.bdmc, Chains),
        (Run.ais, Chains),
        (Run.bdmc, Chains),
    ],
)
def test_python_has_the_same_names_and_defaults(function: Any, config: Any) -> None:
    parameters = inspect.signature(function).parameters
    assert not [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]
    for name, field in config.model_fields.items():
        assert parameters[name].default == field.default, name


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("is", {"samples": 7, "chunk": 2, "proposal": "widened", "wider": 3.0, "target_se": 0.5, "max_samples": 99}),
        ("ais", {"steps": 7, "chains": 2, "leapfrog": 3, "start": "guide"}),
        ("bdmc", {"steps": 7, "chains": 2, "leapfrog": 3, "start": "guide"}),
    ],
)
def test_every_option_reaches_the_verb(name: str, given: dict[str, Any]) -> None:
    class Recorder:
        def __getattr__(self, verb: str) -> Any:
            bind = inspect.signature(getattr(Run, verb)).bind
            return lambda *args, **keywords: bind(self, *args, **keywords).arguments

    common: Any = {"split": "valid", "limit": 3, "seed": 4, "show": None, "compile": False}
    method, recorder = _method.find(name), Recorder()
    found = method.estimate(recorder, method.config(**given), common)  # type: ignore[arg-type]
    assert found == {"run": recorder, **given, **common}


def test_what_has_no_effect_is_refused() -> None:
    method = _method.find("is")
    method.require(method.config(wider=1.5, proposal="widened"))
    for given in ({"wider": 1.5}, {"max_samples": 100_000}):
        with pytest.raises(UsageError, match="has no effect without"):
            method.require(method.config(**given))


@pytest.fixture(params=["file", "package"])
def added(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An estimator `constant`, as a file among ours and as an installed package adds one."""
    if request.param == "file":
        (tmp_path / "constant.py").write_text(CONSTANT)
        monkeypatch.setattr(pyrovae.cli._methods, "__path__", [*pyrovae.cli._methods.__path__, str(tmp_path)])
    else:
        (tmp_path / "of_a_package.py").write_text(CONSTANT)
        info = tmp_path / "constants-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: constants\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[pyrovae.estimators]\nconstant = of_a_package\nis = of_a_package\n")
        monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("pyrovae.cli.loglik", None)  # the names that it knows are those of when it was imported
    importlib.invalidate_caches()
    yield "constant"
    for name in ("pyrovae.cli._methods.constant", "of_a_package", "pyrovae.cli.loglik"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("opened")
def test_one_more_is_one_file_or_one_entry_point(added: str) -> None:
    assert _method.names() == ["is", "ais", "bdmc", added]
    text = run("loglik", "run", "--method", added, "--help").output
    assert options_in(text) == COMMON | {"value"}
    assert "constant: Always the same." in " ".join(text.split())
    assert re.search(r"\[0(\.0)?<=x<=9(\.0)?\]", text)
    assert "--samples" in run("loglik", "--help").output  # ours win a name
    result = run("loglik", "run", "--method", added, "--value", 3, "--seed", 5, "--json")
    assert json.loads(result.stdout) == {"log_likelihood": 3.0, "seed": 5}, result.stderr
    assert "2.0 for sure" in run("loglik", "run", "--method", added).stdout
    assert "10.0 is not in the range" in run("loglik", "run", "--method", added, "--value", 10).stderr
    refused = run("loglik", "run", "--value", 3).stderr
    assert refused == "Error: --value is an option of --method constant: leave it out with is\n"


def test_help_imports_no_torch() -> None:
    code = """if True:
        import sys
        from pyrovae.cli import cli
        cli(["loglik", "--method", "bdmc", "--help"], standalone_mode=False)
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
