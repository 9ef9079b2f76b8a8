"""A comparison that was killed goes on, to the figures of one that was not."""

import json
import os

import numpy as np
import pytest
import torch
from commands import done, run

import pyrovae
from pyrovae import UsageError
from pyrovae.comparison import comparing
from pyrovae.runs import directory
from pyrovae.training import fit as fitting

TINY = {"latent_dim": 2, "hidden": (6,), "score_samples": 5, "device": "cpu", "compile": False, "epochs": 2}
GUIDES = ("diagonal", "full", "householder")
TIMES = {"seconds", "step_seconds"}


class KilledError(BaseException):
    """As a kill: nothing is written after it."""


@pytest.fixture
def x():
    """Sixty vectors of 6."""
    return torch.randn(60, 6, generator=torch.Generator().manual_seed(0))


def compare(x, out, **options):
    return pyrovae.compare("vae", GUIDES, data=x, out=out, **{"show": False, **TINY, **options})


@pytest.fixture
def killed(monkeypatch):
    """Makes a call end at the epoch of a number, counted over all its fits, from 1 on."""

    def kill(at, call, *args, **options):
        real, count = fitting.Journal.epoch, iter(range(1, 100))

        def dying(self, metrics):
            if next(count) == at:
                raise KilledError
            real(self, metrics)

        with monkeypatch.context() as patch:
            patch.setattr(fitting.Journal, "epoch", dying)
            with pytest.raises(KilledError):
                call(*args, **options)

    return kill


@pytest.mark.parametrize("at", [1, 4], ids=["first", "second"])
def test_a_killed_comparison_goes_on_to_the_same_figures(x, tmp_path, monkeypatch, killed, at):
    whole = compare(x, tmp_path / "whole")
    out, trained, train = tmp_path / "killed", [], fitting.train
    killed(at, compare, x, out, checkpoint_every="2")
    assert not (out / "compare.json").exists()

    def counted(*args, **options):
        trained.append(args[0])
        return train(*args, **options)

    monkeypatch.setattr(fitting, "train", counted)
    found = compare(x, out, checkpoint_every="2")
    assert len(trained) == 3 - (at - 1) // 2  # those that are done are not done again
    assert set(found.values) == set(whole.values)
    for name in set(found.values) - TIMES:
        np.testing.assert_array_equal(found.values[name], whole.values[name])
    assert {directory.content(out / f"{guide}-0")["status"] for guide in GUIDES} == {"done"}
    assert json.loads((out / "compare.json").read_text())["baseline"] == "diagonal"


@pytest.mark.parametrize("at", ["write_arrays", "comparison", "write_json"])
def test_one_that_is_killed_while_its_results_are_written_is_not_done(x, tmp_path, monkeypatch, at):
    """compare.json is the last of its files; what a kill leaves of the others is written anew."""

    def dying(*arguments):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(comparing.plots if at == "comparison" else comparing.atomic, at, dying)
        with pytest.raises(KilledError):
            compare(x, tmp_path / "out")
    assert not (tmp_path / "out" / "compare.json").exists()
    (tmp_path / "out" / ".0123abcd.compare.npz").write_bytes(b"as a kill leaves it")
    (tmp_path / "out" / "full-1").mkdir()
    (tmp_path / "out" / "full-1" / ".0123abcd.run.json").write_bytes(b"")
    monkeypatch.setattr(fitting, "train", None)  # nothing is trained again
    assert len(compare(x, tmp_path / "out").table) == 3
    assert (tmp_path / "out" / "compare.npz").exists()


def test_the_command_names_the_folder_of_one_that_was_stopped(x, tmp_path, monkeypatch, killed):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x.numpy())
    own = ["compare", "--model", "vae", "--guides", "diagonal,full", "--data", "x.npy", "--quiet", "--no-compile"]
    own += ["--latent-dim", "2", "--hidden", "6", "--score-samples", "5", "--epochs", "2", "--device", "cpu"]
    folder = os.path.join("runs", "compare-vae-x")
    killed(3, run, *own)
    says = f"note: {folder} holds such a comparison, not finished: this command with --out {folder} goes on with it"
    again = done(*own)
    assert says in again.stderr
    assert f"{folder}-2" in again.stdout
    assert "not finished" not in done(*own, "--out", folder).stderr
    assert says not in done(*own).stderr  # it is finished now


def test_a_comparison_that_is_done_is_not_begun_again(x, tmp_path):
    compare(x, tmp_path / "out")
    with pytest.raises(UsageError, match="there is a comparison in"):
        compare(x, tmp_path / "out")
    compare(x, tmp_path / "out", overwrite=True, epochs=1)


def test_runs_of_other_options_are_refused_before_anything_is_fitted(x, tmp_path, monkeypatch, killed):
    out = tmp_path / "out"
    killed(3, compare, x, out)
    monkeypatch.setattr(fitting, "train", lambda *args, **options: pytest.fail("it trains"))
    with pytest.raises(UsageError, match=r"diagonal-0 holds a run of other options: take another out, or overwrite"):
        compare(x, out, epochs=3)
    with pytest.raises(UsageError, match="holds a run of other options"):
        pyrovae.compare("hvae", GUIDES[:1], data=x, out=out, epochs=2, hidden=(6,), show=False)


def test_one_frozen_model_goes_on_with_that_model_alone(x, tmp_path, killed):
    source, other = (pyrovae.fit("vae", data=x, out=tmp_path / str(s), seed=s, show=False, **TINY) for s in (0, 1))
    out = tmp_path / "out"

    def guides(source):
        return pyrovae.compare(guides=GUIDES[:2], freeze_model=source, out=out, epochs=2, data=x, show=False)

    killed(4, guides, source)
    with pytest.raises(UsageError, match="holds a run of other options"):
        guides(other)
    assert len(guides(source).table) == 2
