"""What README.md says is run, in its own order."""

import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commands import score_quickly

from pyrovae.cli import cli

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip().startswith("pyrovae ")]


FEW = {"--samples": "20", "--steps": "5", "--ais-steps": "5", "--epochs": "1"}
"""How much is computed here; what is shown takes minutes, and `.ci/run` does the first line of the page whole."""

ELSEWHERE = {"pyrovae selftest": "tests/testing/test_selftest.py"}
"""Lines that another test runs as they are."""


def quick(line: str) -> list[str]:
    """The words of a command that is shown, its numbers those of FEW; a fit that goes on has one epoch more."""
    words = shlex.split(line)[1:]
    for option in FEW.keys() & set(words):
        words[words.index(option) + 1] = "2" if "--resume" in words else FEW[option]
    if words[0] in ("fit", "compare") and "--resume" not in words:
        words += [] if "--epochs" in words else ["--epochs", FEW["--epochs"]]
        words += ["--score-samples", "5"]
    return words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "my_model.py").write_text(blocks("python")[0], encoding="utf-8")
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 2)) @ generator.normal(size=(2, 10)) + 0.5 * generator.normal(size=(300, 10))
    np.save(folder / "my_data.npy", x.astype(np.float32))
    return folder


def test_the_set_up_is_two_lines():
    assert "python -m pip install -e . && pyrovae fit --model cvae\n" in README
    assert "python -m pip install -e '.[test]' && python -m pytest\n" in README


def test_every_command_is_shown():
    shown = {shlex.split(line)[1] for line in commands()}
    assert shown == set(cli.files())


@pytest.fixture(autouse=True)
def quick_scores(monkeypatch):
    score_quickly(monkeypatch)


# One test, since each command works on what those before it made.
def test_commands_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert set(commands()) > set(ELSEWHERE)
    for line in [line for line in commands() if line not in ELSEWHERE]:
        result = CliRunner().invoke(cli, quick(line))
        assert result.exit_code == 0, f"{line}\n{result.output}"
    made = {"per_datum.npz", "threes.png", "reconstructions.png", "interpolation.png", "latents.npz", "latents.png"}
    assert made <= {path.name for path in folder.iterdir()}
    for name in ("samples.png", "reconstructions.png", "latents.png", "curves.png", "run.json", "metrics.jsonl"):
        assert (folder / "runs/cvae-digits" / name).is_file()


def test_python_runs(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    runpy.run_path(str(folder / "my_model.py"), run_name="__main__")
    assert "log_likelihood" in capsys.readouterr().out
    script = folder / "library.py"
    code = blocks("python")[1]
    few_epochs = "epochs=1, score_samples=5"
    for much, few in (("epochs=20", few_epochs), ("epochs=5", few_epochs), ("samples=1000", "samples=20")):
        assert much in code
        code = code.replace(much, few)
    script.write_text(code, encoding="utf-8")
    found = runpy.run_path(str(script))
    assert found["pictures"].shape == (16, 1, 8, 8)
    assert found["codes"].shape == (360, 8)
    assert [row["guide"] for row in found["table"]] == ["diagonal", "lowrank"]
