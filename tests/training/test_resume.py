"""A fit that was stopped goes on bit for bit; a directory is whole whatever write was the last."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import done, run, the_error
from damage import edited
from fits import QUICK, VAE, Killed, require_same, stopped

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError
from pyrovae.runs import directory, tensors
from pyrovae.runs.checkpoint import Checkpoint
from pyrovae.runs.claim import locked
from pyrovae.storage import atomic
from pyrovae.training.journal import Every


@pytest.fixture
def x():
    """48 training data: three steps an epoch."""
    return torch.bernoulli(torch.full((60, 1, 4, 4), 0.4), generator=torch.Generator().manual_seed(0))


CASES = {
    "plain": {},
    "schedules": {"schedule": "linear", "kl_warmup": 2, "kl_cycles": 2, "clip": 1.0},
    "adamax": {"optimizer": "adamax", "weight_decay": 0.01},
    "rmsprop": {"optimizer": "rmsprop", "momentum": 0.9, "clip": 1.0},
    "dreg": {"objective": "dreg", "particles": 3},
    "patience": {"patience": 1, "lr": 0.5, "epochs": 20},
    "iaf": {"guide": "iaf:steps=2:hidden=8"},
    "grown batch": {"batch_size": 13, "free_bits": 0.2},
}


@pytest.mark.parametrize("at", [2, 4, 8])
@pytest.mark.parametrize("name", CASES)
def test_a_fit_goes_on_bit_for_bit(x, tmp_path, monkeypatch, name, at):
    options = VAE | CASES[name]
    whole = pyrovae.fit("vae", data=x, **options)
    if len(whole.metrics) * 3 < at:
        pytest.skip("it had stopped before")
    stopped(monkeypatch, at, "vae", data=x, out=tmp_path / "run", checkpoint_every="1", **options)
    torch.rand(7)  # the generator of the caller is of no importance
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, show=False), whole)


@pytest.mark.parametrize("compile", [None, pytest.param(True, marks=pytest.mark.slow)])
def test_a_lowered_fit_goes_on_bit_for_bit(x, tmp_path, monkeypatch, compile):
    monkeypatch.setattr("pyrovae.lowering.engine.FEW", 0)
    whole = pyrovae.fit("vae", data=x, compile=compile, **VAE)
    assert whole.results["engine"] == ("compiled" if compile else "traced")
    stopped(monkeypatch, 3, "vae", data=x, compile=compile, out=tmp_path / "run", checkpoint_every="2", **VAE)
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, show=False), whole)


@pytest.mark.parametrize("model", ["cvae", "iaf", "textvae"])
def test_every_pair_goes_on_bit_for_bit(tmp_path, monkeypatch, model):
    small = {"latent_dim": 2, "limit_train": 70, "epochs": 2, "batch_size": 16}
    nets = {"cvae": {"hidden": (6,)}, "iaf": {"widths": (4, 4), "context": 5}, "textvae": {"hidden": 6, "embedding": 4}}
    options = QUICK | small | nets[model] | {"score_limit": 10}
    whole = pyrovae.fit(model, **options)
    stopped(monkeypatch, 8, model, out=tmp_path / "run", checkpoint_every="7", **options)
    require_same(pyrovae.fit(resume=tmp_path / "run", show=False), whole)


def test_streamed_data_go_on_bit_for_bit(x, tmp_path, monkeypatch):
    import numpy as np

    np.save(tmp_path / "x.npy", (255 * x).byte().numpy())
    options = VAE | {"data": str(tmp_path / "x.npy"), "stream": True, "workers": 1, "binarize": "dynamic"}
    whole = pyrovae.fit("vae", **options)
    stopped(monkeypatch, 6, "vae", out=tmp_path / "run", checkpoint_every="1", **options)
    require_same(pyrovae.fit(resume=tmp_path / "run", workers=0, show=False), whole)


def test_a_frozen_model_goes_on_bit_for_bit(x, tmp_path, monkeypatch):
    pyrovae.fit("vae", data=x, out=tmp_path / "source", **VAE)
    options = {"freeze_model": tmp_path / "source", "data": x, "guide": "full", "show": False, "device": "cpu"}
    whole = pyrovae.fit(**options)
    stopped(monkeypatch, 5, out=tmp_path / "run", checkpoint_every="1", **options)
    with pytest.raises(PyrovaeError, match="give them again"):
        pyrovae.fit(resume=tmp_path / "run", show=False)
    run = pyrovae.fit(resume=tmp_path / "run", data=x, show=False)
    require_same(run, whole)
    source = tensors.weights(pyrovae.load(tmp_path / "source", data=x, device="cpu").pair.model)
    assert all(torch.equal(source[name], tensor) for name, tensor in tensors.weights(run.pair.model).items())


def test_more_epochs_are_those_of_a_longer_fit(x, tmp_path):
    options = VAE | {"schedule": "constant"}
    longer = pyrovae.fit("vae", data=x, **options | {"epochs": 6})
    pyrovae.fit("vae", data=x, out=tmp_path / "run", **options)
    with pytest.raises(UsageError, match=r"all 4 epochs of .* are trained: give more, epochs N"):
        pyrovae.fit(resume=tmp_path / "run", data=x, show=False)
    with pytest.raises(UsageError, match="epochs=3 is less than the 4"):
        pyrovae.fit(resume=tmp_path / "run", data=x, epochs=3, show=False)
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, epochs=6, show=False), longer)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lr": 0.5}, "lr=0.5 contradicts resume=.*, which has 0.002: leave it out"),
        ({"latent_dim": 9}, "latent_dim=9 contradicts"),
        ({"guide": "full"}, "guide is as it was"),
        ({"colour": 1}, "there is no option 'colour'"),
        ({"model": "vae"}, "leave it out"),
    ],
)
def test_what_contradicts_the_run_is_refused(x, tmp_path, monkeypatch, given, says):
    stopped(monkeypatch, 5, "vae", data=x, out=tmp_path / "run", checkpoint_every="1", **VAE)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(UsageError, match=says):
        pyrovae.fit(resume=tmp_path / "run", data=x, **given)
    with pytest.raises(PyrovaeError, match="are not those of this run"):
        pyrovae.fit(resume=tmp_path / "run", data=x + 1)
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_fewer_epochs_than_the_default_are_refused(x, tmp_path, monkeypatch):
    default = {key: value for key, value in VAE.items() if key != "epochs"}
    stopped(monkeypatch, 9, "vae", data=x, out=tmp_path / "run", checkpoint_every="1", **default)
    with pytest.raises(UsageError, match="epochs=2 is less than the 1000"):
        pyrovae.fit(resume=tmp_path / "run", data=x, epochs=2, show=False)


def test_other_threads_are_told(x, tmp_path, monkeypatch, capsys):
    stopped(monkeypatch, 5, "vae", data=x, out=tmp_path / "run", checkpoint_every="1", **VAE)
    edited(tmp_path / "run", lambda content: content["progress"].update(threads=7))
    edited(tmp_path / "run", lambda content: content["environment"].update(torch="1.0"))
    pyrovae.fit(resume=tmp_path / "run", data=x, epochs=5)
    told = capsys.readouterr().err
    assert "with 1 threads and not 7 and with torch" in told
    assert "the bits may be others" in told
    assert "is now one of 5 epochs and not of 4" in told


def test_a_pair_of_ones_own_goes_on(x, tmp_path, monkeypatch):
    def make():
        torch.manual_seed(3)
        pair = pyrovae.fit("vae", data=x, **VAE | {"epochs": 1}).pair
        return Pair(pair.model, pair.guide)

    whole = pyrovae.fit(make(), data=x, **QUICK)
    stopped(monkeypatch, 5, make(), data=x, out=tmp_path / "run", checkpoint_every="1", **QUICK)
    require_same(pyrovae.fit(make(), data=x, resume=tmp_path / "run", show=False), whole)


def test_kills(tmp_path):
    """Real processes, killed at random times: each pair once, eager and traced."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "--count", "10"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    tally = json.loads(done.stdout.splitlines()[-1])
    assert tally["kills"] >= 10
    assert tally["fits"] == tally["bit for bit"] >= 10


class Dead:
    """The disk of a process that ends before one of its writes: nothing is written, renamed or removed any more."""

    def __init__(self, monkeypatch, after):
        self.left = after
        for owner, name in ((os, "replace"), (os, "fsync"), (os, "unlink"), (os, "rmdir"), (os, "mkdir")):
            monkeypatch.setattr(owner, name, self.dying(getattr(owner, name)))
        monkeypatch.setattr(Path, "unlink", self.dying(Path.unlink))
        monkeypatch.setattr(Path, "rmdir", self.dying(Path.rmdir))
        opened = open

        def dying_open(file, mode="r", *arguments, **options):
            if set(mode) & set("wax+"):
                self.step()
            return opened(file, mode, *arguments, **options)

        monkeypatch.setattr("builtins.open", dying_open)
        monkeypatch.setattr("io.open", dying_open)

    def step(self):
        if self.left <= 0:
            raise Killed
        self.left -= 1

    def dying(self, function):
        def call(*arguments, **options):
            self.step()
            return function(*arguments, **options)

        return call


def test_a_directory_is_whole_whatever_write_was_the_last(x, tmp_path, monkeypatch):
    monkeypatch.setattr("pyrovae.runs.pictures.pictures", lambda run, folder: [])
    options = VAE | {"epochs": 2}
    whole = pyrovae.fit("vae", data=x, **options)
    ended, writes, kept = False, 0, []
    while not ended:
        out = tmp_path / f"run-{writes}"
        with monkeypatch.context() as patch:
            Dead(patch, writes)
            try:
                pyrovae.fit("vae", data=x, out=out, checkpoint_every="2", **options)
                ended = True
            except Killed:
                pass
        writes += 1
        if not (out / "run.json").is_file():
            continue
        kept.append(writes)
        status = json.loads((out / "run.json").read_text())["status"]
        if "checkpoint" in directory.entries(out) or status != "training":
            pyrovae.load(out, data=x, device="cpu")
        if status == "done":
            require_same(pyrovae.load(out, data=x, device="cpu"), whole)
        else:
            require_same(pyrovae.fit(resume=out, data=x, show=False), whole)
        strays = [path.name for path in out.rglob(".*") if path.name != directory.LOCK]
        assert strays == [] or status == "done"
    assert writes > 30
    assert len(kept) > 25


def test_a_full_disk_stops_the_fit_and_leaves_the_last_checkpoint(x, tmp_path, monkeypatch):
    whole = pyrovae.fit("vae", data=x, **VAE)
    together, count = atomic.write_together, iter(range(100))

    def full(contents):
        if next(count) >= 3:
            raise OSError(28, "No space left on device", str(next(iter(contents))))
        together(contents)

    with monkeypatch.context() as patch:
        patch.setattr("pyrovae.storage.atomic.write_together", full)
        with pytest.raises(PyrovaeError, match=r"the disk is full.*; the checkpoint of step 4 is whole") as told:
            pyrovae.fit("vae", data=x, out=tmp_path / "run", checkpoint_every="2", **VAE)
    assert "\n" not in str(told.value)
    assert pyrovae.load(tmp_path / "run", data=x, device="cpu").status == "training"
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, show=False), whole)


def test_a_full_disk_at_the_start_leaves_nothing(x, tmp_path, monkeypatch):
    def full(contents):
        raise OSError(28, "No space left on device", "run.json")

    monkeypatch.setattr("pyrovae.storage.atomic.write_together", full)
    with pytest.raises(PyrovaeError, match=r"the disk is full.*nothing of this fit is kept"):
        pyrovae.fit("vae", data=x, out=tmp_path / "some" / "run", **VAE)
    assert not (tmp_path / "some").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_made_read_only_stops_the_fit(x, tmp_path):
    def close(metrics):
        (tmp_path / "run").chmod(0o555)

    with pytest.raises(PyrovaeError, match=r"permission denied.*is whole"):
        pyrovae.fit("vae", data=x, out=tmp_path / "run", checkpoint_every="2", **VAE)


def test_a_second_fit_in_a_directory_is_refused(x, tmp_path):
    with locked(tmp_path / "run"):
        with pytest.raises(PyrovaeError, match="another fit runs in"):
            pyrovae.fit("vae", data=x, out=tmp_path / "run", **VAE)
        assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    assert not (tmp_path / "run").exists()
    pyrovae.fit("vae", data=x, out=tmp_path / "run", **VAE)
    with locked(tmp_path / "run"), pytest.raises(PyrovaeError, match="another fit runs in"):
        pyrovae.fit(resume=tmp_path / "run", data=x, epochs=9, show=False)


def test_a_run_that_is_replaced_stays_until_the_first_checkpoint(x, tmp_path, monkeypatch):
    pyrovae.fit("vae", data=x, out=tmp_path / "run", **VAE)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    stopped(monkeypatch, 2, "vae", data=x, out=tmp_path / "run", overwrite=True, checkpoint_every="2", **VAE)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    stopped(monkeypatch, 4, "vae", data=x, out=tmp_path / "run", overwrite=True, checkpoint_every="2", **VAE)
    there = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert there == [".lock", "metrics-e3b0c442.jsonl", "run.json", "state"]  # those of the other run had their name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_of_a_step(x, tmp_path, monkeypatch, number):
    whole = pyrovae.fit("vae", data=x, **VAE)
    call, count, handlers = pyrovae.svi.Step.raw, iter(range(1, 100)), (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(each) for each in handlers]

    def signalled(self, *given):
        if next(count) == 5:
            os.kill(os.getpid(), number)
        return call(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr("pyrovae.svi.Step.raw", signalled)
        run = pyrovae.fit("vae", data=x, out=tmp_path / "run", checkpoint_every="0", **VAE)
    assert run.results["stopped"] == "interrupted"
    assert run.results["steps"] == 5
    assert [signal.getsignal(each) for each in handlers] == before
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, show=False), whole)


def test_a_checkpoint_of_other_tensors_is_told(x, tmp_path, monkeypatch):
    stopped(monkeypatch, 5, "vae", data=x, out=tmp_path / "run", checkpoint_every="1", **VAE)
    edited(tmp_path / "run", lambda content: content["recipe"]["training"].update(optimizer="adamax"))
    with pytest.raises(PyrovaeError, match="does not fit"):
        pyrovae.fit(resume=tmp_path / "run", data=x, show=False)


def test_the_command_goes_on(tmp_path):
    small = ("--epochs", 2, "--batch-size", 30, "--limit-train", 60, "--hidden", 6, "--latent-dim", 2)
    quick = ("--score-samples", 2, "--score-limit", 5, "--quiet")
    done("fit", "--model", "cvae", "--out", tmp_path / "run", *small, *quick)
    for given, says in (
        ((tmp_path / "run",), "all 2 epochs of"),
        ((tmp_path / "run", "--model", "cvae"), "--model is as it was"),
        ((tmp_path,), "is not a run directory"),
    ):
        refused = run("fit", "--resume", *given)
        assert refused.exit_code == 2
        assert says in the_error(refused.stderr)
    assert re.search(r"best epoch +\d of 3", done("fit", "--resume", tmp_path / "run", "--epochs", 3).stdout)


def test_every():
    assert [step for step in range(1, 10) if Every.parse("4").is_due(step)] == [4, 8]
    assert not any(Every.parse("0").is_due(step) for step in range(1, 10))
    assert not Every.parse("60s").is_due(1)
    with pytest.raises(UsageError, match="checkpoint_every = '5m'"):
        pyrovae.fit("vae", data=torch.zeros(60, 1, 4, 4), checkpoint_every="5m")


def test_reading_a_checkpoint_gives_what_was_written(x, tmp_path, monkeypatch):
    stopped(monkeypatch, 5, "vae", data=x, out=tmp_path / "run", checkpoint_every="1", **VAE)
    found = Checkpoint.read(tmp_path / "run", directory.present(tmp_path / "run"))
    assert (found.position.step, found.position.epoch, found.position.of) == (4, 1, 4)
    assert found.sums.shape == (4,)
    assert set(found.generators) == {"cpu", "order"}
    assert found.best.keys() == found.weights.keys()


def require_whole_after_each_write(monkeypatch, first, act, check):
    """Ends the process before each write of `act` in turn, in a copy of a directory, and checks what is left."""
    writes, ended = 0, False
    while not ended:
        out = first.with_name(f"{first.name}-{writes}")
        shutil.copytree(first, out)
        with monkeypatch.context() as patch:
            Dead(patch, writes)
            try:
                act(out)
                ended = True
            except Killed:
                pass
        check(out)
        shutil.rmtree(out)
        writes += 1
    assert writes > 8


@pytest.mark.slow
def test_a_run_that_is_replaced_is_whole_whatever_write_was_the_last(x, tmp_path, monkeypatch):
    monkeypatch.setattr("pyrovae.runs.pictures.pictures", lambda run, folder: [])
    options = VAE | {"epochs": 1}
    old = pyrovae.fit("vae", data=x, out=tmp_path / "run", **options)
    options |= {"seed": 3}
    new = pyrovae.fit("vae", data=x, **options)

    def act(out):
        pyrovae.fit("vae", data=x, out=out, overwrite=True, checkpoint_every="0", **options)

    def check(out):
        found = pyrovae.load(out, data=x, device="cpu")
        if found.status != "done":
            found = pyrovae.fit(resume=out, data=x, show=False)
        require_same(found, new if found.recipe.training.seed == 3 else old)
        assert (out / "metrics.jsonl").read_text() == tensors.to_lines(found.metrics)

    require_whole_after_each_write(monkeypatch, tmp_path / "run", act, check)


def test_a_run_that_is_saved_over_another_is_whole_whatever_write_was_the_last(x, tmp_path, monkeypatch):
    first = pyrovae.fit("vae", data=x, out=tmp_path / "run", **VAE | {"epochs": 2})
    other = pyrovae.fit("vae", data=x, **VAE | {"seed": 3, "epochs": 2})

    def act(out):
        other.path = None
        other.save(out, overwrite=True)

    def check(out):
        found = pyrovae.load(out, data=x, device="cpu")
        require_same(found, other if found.recipe.training.seed == 3 else first)

    require_whole_after_each_write(monkeypatch, tmp_path / "run", act, check)


def pressed(monkeypatch, *arguments, at, times, **options):
    """Fits, with Ctrl-C so often inside step `at`; before the first one where that is 0."""
    raw, lower, count = pyrovae.svi.Step.raw, pyrovae.svi.Step.lower, iter(range(1, 10**6))

    def press():
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)

    def raw_pressed(self, *given):
        if next(count) == at:
            press()
        return raw(self, *given)

    def lower_pressed(self, *given):
        if at == 0:
            press()
        return lower(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr("pyrovae.svi.Step.raw", raw_pressed)
        patch.setattr("pyrovae.svi.Step.lower", lower_pressed)
        run = pyrovae.fit(*arguments, **options)
    assert run.results["stopped"] == "interrupted"
    return run


@pytest.mark.parametrize(("at", "times"), [(0, 1), (2, 2), (8, 2)])
def test_a_fit_that_stops_between_two_checkpoints_goes_on_from_the_last(x, tmp_path, monkeypatch, at, times):
    options = VAE | {"compile": False}
    whole = pyrovae.fit("vae", data=x, **options)
    press = {"at": at, "times": times}
    pressed(monkeypatch, "vae", data=x, out=tmp_path / "run", checkpoint_every="5", **options, **press)
    assert ("checkpoint" in directory.entries(tmp_path / "run")) == (at > 5)
    if at < 5:  # once more, from the start
        pressed(monkeypatch, data=x, resume=tmp_path / "run", show=False, **press)
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, show=False), whole)


@pytest.mark.parametrize(("at", "times"), [(0, 1), (2, 2)])
def test_a_run_stays_where_the_one_that_replaces_it_has_no_checkpoint(x, tmp_path, monkeypatch, at, times):
    old = pyrovae.fit("vae", data=x, out=tmp_path / "run", **VAE)
    options = VAE | {"seed": 3, "overwrite": True}
    run = pressed(monkeypatch, "vae", data=x, out=tmp_path / "run", **options, at=at, times=times)
    assert run.path is None
    require_same(pyrovae.load(tmp_path / "run", data=x, device="cpu"), old)


def test_a_second_ctrl_c_in_the_books_of_an_epoch_leaves_the_last_checkpoint(x, tmp_path, monkeypatch):
    whole = pyrovae.fit("vae", data=x, **VAE)

    copy = pyrovae.training.state.snapshot

    def pressed_in_the_books(pair):
        if sys._getframe(1).f_code.co_name == "close_epoch":
            raise KeyboardInterrupt
        return copy(pair)

    with monkeypatch.context() as patch:
        patch.setattr("pyrovae.training.state.snapshot", pressed_in_the_books)
        pyrovae.fit("vae", data=x, out=tmp_path / "run", checkpoint_every="2", **VAE)
    assert directory.present(tmp_path / "run")["progress"]["step"] == 2  # the epoch ended at 3
    require_same(pyrovae.fit(resume=tmp_path / "run", data=x, show=False), whole)


def test_a_fit_that_fails_before_its_first_checkpoint_leaves_the_run_that_it_would_replace(x, tmp_path, monkeypatch):
    old = pyrovae.fit("vae", data=x, out=tmp_path / "run", **VAE)

    def fail(self, *given):
        raise ValueError("so")

    with monkeypatch.context() as patch:
        patch.setattr("pyrovae.svi.Step.__call__", fail)
        with pytest.raises(ValueError, match="so"):
            pyrovae.fit("vae", data=x, out=tmp_path / "run", overwrite=True, **VAE)
    require_same(pyrovae.load(tmp_path / "run", data=x, device="cpu"), old)
