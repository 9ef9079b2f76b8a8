"""Runs that are there already, in one comparison."""

import json

import pytest
import torch
from commands import done, run, the_error

import pyrovae
from pyrovae import PyrovaeError, UsageError
from pyrovae.comparison.beside import compare_runs

SMALL = {"epochs": 1, "latent_dim": 2, "hidden": (4,), "batch_size": 20, "show": False, "score_samples": 2}
X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("beside")
    torch.manual_seed(0)
    import numpy as np

    np.save(where / "x.npy", X.numpy())
    np.save(where / "new.npy", X[:5].numpy() + 0.1)
    np.save(where / "other.npy", X[:, :2].numpy())
    for name, guide, data in (("a", "diagonal", "x"), ("b", "full", "x"), ("other", "diagonal", "other")):
        pyrovae.fit("vae", data=where / f"{data}.npy", guide=guide, out=where / name, **SMALL)
    return where


def test_runs_are_scored_on_the_same_rows_and_differ_datum_by_datum(folder):
    runs = [pyrovae.load(folder / name) for name in "ab"]
    for data in (None, X[:5] + 0.1):
        first, second = compare_runs(runs, samples=20, data=data)
        wanted = [run.log_likelihood(samples=20, show=False, data=data).log_likelihood for run in runs]
        assert torch.equal(first.likelihood.log_likelihood, wanted[0])
        assert torch.equal(second.likelihood.log_likelihood, wanted[1])
        assert first.difference is None
        assert str(second).startswith("Beside: ") and second.difference["verdict"] in str(second)
        assert second.difference["difference"] == pytest.approx((wanted[1] - wanted[0]).mean().item())
        assert second.difference["num_data"] == len(wanted[0])


def test_runs_on_other_data_or_alone_are_refused(folder):
    runs = [pyrovae.load(folder / name) for name in ("a", "other")]
    with pytest.raises(PyrovaeError, match="was trained on other data"):
        compare_runs(runs)
    with pytest.raises(UsageError, match="a comparison takes two runs or more"):
        compare_runs(runs[:1])


def test_the_command(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = json.loads(done("compare", "a", "b", "--score-samples", "5", "--json", "--quiet").stdout)
    assert [each["run"] for each in found] == ["a", "b"]
    printed = done("compare", "a", "b", "--data", "new.npy", "--score-samples", "5").stdout
    assert "difference" in printed
    assert "full" in printed
    assert "--epochs is of a fit" in the_error(run("compare", "a", "b", "--epochs", "2").stderr)
    assert "two runs or more" in the_error(run("compare", "a").stderr)
    assert "is not a run directory" in the_error(run("compare", "a", "nowhere").stderr)
