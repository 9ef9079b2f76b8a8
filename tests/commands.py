"""Commands through click's runner, tiny data of every kind as files, and a tiny run on each."""

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pyrovae.cli import cli

OWN = '''
"""A model of one's own, on vectors of 5."""
import pyro, pyro.distributions as dist
from torch import nn
from pyrovae import Pair


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 5))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, family):
        super().__init__()
        self.q = family(5, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(x))


class MyVAE(Pair):
    def __init__(self, family, width: int = 4):
        super().__init__(Model(width), Guide(family))


def no_pair():
    return 3


def needs(width):
    return MyVAE(width)


three = 3
'''

QUICK = ("--epochs", "1", "--score-samples", "2", "--latent-dim", "2", "--device", "cpu")
TINY = (*QUICK, "--hidden", "4")

FITS: dict[str, tuple[str, ...]] = {  # name of the run -> arguments of fit
    "image": ("--model", "vae", "--data", "images.npy", "--guide", "iaf:steps=2:hidden=4", *TINY),
    "label": ("--model", "cvae", "--data", "labels.npz", *TINY),
    "quadrants": ("--model", "cvae", "--data", "labels.npz", "--condition", "quadrants", *TINY),
    "vector": ("--model", "vae", "--data", "vectors.npy", "--guide", "full", *TINY),
    "text": ("--model", "textvae", "--data", "sentences.txt", *TINY),
    "words": ("--model", "textvae", "--data", "sentences.txt", "--no-z", *TINY),
    "resnet": ("--model", "iaf", "--data", "images.npy", *QUICK, "--widths", "4", "--context", "8"),
    "own": ("--model", "my_model.py:MyVAE", "--data", "vectors.npy", "--width", "3", *QUICK[:4]),
}

SENTENCES = ["the cat sat .", "a dog ran off", "the dog sat", "a cat", "the mat ran .", "cat and dog"] * 6


def run(*args: Any) -> Result:
    """A command as `pyrovae ARGS` runs it; what it prints on stdout and stderr comes apart."""
    return CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="pyrovae")


def done(*args: Any) -> Result:
    """The same for a command that must succeed."""
    result = run(*args)
    assert result.exit_code == 0, f"{args}: {result.stderr}"
    return result


def write_data(folder: Path) -> None:
    """Files of every kind, good and bad, each of a few kilobytes."""
    draw = np.random.default_rng(0)
    bits = (draw.random((40, 8, 7)) > 0.5).astype(np.uint8)
    y = np.arange(40) % 3
    np.save(folder / "images.npy", (draw.random((40, 8, 7)) * 255).astype(np.uint8))
    np.save(folder / "vectors.npy", draw.normal(size=(40, 5)).astype(np.float32))
    np.savez(folder / "labels.npz", x=bits, y=y)
    np.savez(folder / "missing.npz", x=bits, y=np.where(np.arange(40) < 20, -1, y))
    np.savez(folder / "negative.npz", x=bits, y=np.where(y == 1, -2, y))
    np.savez(folder / "beyond.npz", x=bits, y=np.where(y == 1, 5000, y))
    np.savez(folder / "half.npz", x=bits, y=y / 2)
    np.savez(folder / "uneven.npz", x=bits, y=y[:30])
    np.savez(folder / "empty_split.npz", x_train=bits, x_test=bits[:0])
    np.save(folder / "nan.npy", np.where(bits == 1, np.nan, bits).astype(np.float32))
    np.save(folder / "empty.npy", np.zeros((0, 5), np.float32))
    np.save(folder / "one.npy", draw.normal(size=(1, 5)).astype(np.float32))
    np.save(folder / "two.npy", draw.normal(size=(2, 5)).astype(np.float32))
    np.save(folder / "four.npy", draw.normal(size=(4, 5)).astype(np.float32))
    np.save(folder / "pixel.npy", bits[:, :1, :1])
    np.save(folder / "odd.npy", bits[:, :7, :5])
    np.save(folder / "constant.npy", np.zeros((40, 5), np.float32))
    np.save(folder / "objects.npy", np.array([{}] * 9, object), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "vectors.npy").read_bytes()[:-9])
    (folder / "table.csv").write_text("1,2\n3,4\n")
    (folder / "sentences.txt").write_text("\n".join(SENTENCES))
    (folder / "unknown.txt").write_text("\n".join(f"one{i} two{i}" for i in range(30)))
    (folder / "blank.txt").write_text("\n \n\n")
    (folder / "latin.txt").write_bytes("\n".join(["œuvre", "été", "à côté"] * 9).encode("latin-1", "replace"))
    (folder / "my_model.py").write_text(OWN)
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "exits.py").write_text("import sys; sys.exit(3)\n")
    (folder / "images").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "thesis.tex").write_text("years of work")


def fit_all(names: Iterable[str] = FITS) -> None:
    """These of FITS, each into a folder of its name in the working directory, which holds the data."""
    for name in names:
        done("fit", *FITS[name], "--out", name, "--quiet")


def score_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and verbs that refit the guide take three steps for it, and those that anneal seven moves for their step
    sizes: where what is looked at is not how good these are."""
    chains = importlib.import_module("pyrovae.evaluation.annealing.chains")
    monkeypatch.setattr(chains, "WARM", 2)
    monkeypatch.setattr(chains, "PILOT", 5)
    refit = importlib.import_module("pyrovae.evaluation.refitting.refit").refit

    def quick(*args: Any, **options: Any) -> Any:
        return refit(*args, **options | {"steps": 3, "rounds": 1})

    for name in ("importance.estimate", "gap"):
        monkeypatch.setattr(importlib.import_module(f"pyrovae.evaluation.{name}"), "refit", quick)


def listing(folder: Path) -> dict[str, int | None]:
    """What is on the disk: files with the time of their last change, and folders."""
    found = [path for path in folder.rglob("*") if "__pycache__" not in str(path)]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns if path.is_file() else None for path in found}


def the_error(stderr: str) -> str:
    """The sentence of a failed command; asserts that it is one line, the last, without a traceback."""
    lines = stderr.strip().splitlines()
    assert sum(line.startswith("Error:") for line in lines) == 1, stderr
    assert "Traceback" not in stderr
    assert lines[-1].startswith("Error: ")
    assert re.search(r"\S$", lines[-1])
    return lines[-1].removeprefix("Error: ")
