"""`on_epoch`: what it is told, that nothing of the fit follows from it, and that its errors lose nothing."""

import random

import numpy as np
import pyro
import pytest
import torch
from fits import VAE, require_same

import pyrovae
from pyrovae import UsageError
from pyrovae.runtime.ranks import World

X = torch.rand(40, 1, 3, 3, generator=torch.Generator().manual_seed(0)).round()
TINY = {**VAE, "epochs": 3, "data": X, "compile": False}


class PrunedError(Exception):
    """As optuna's, by which a trial is told to end."""


def test_it_is_told_each_epoch_once_with_its_metrics(tmp_path):
    told = []
    run = pyrovae.fit("vae", out=tmp_path / "run", on_epoch=told.append, **TINY)
    assert told == run.metrics
    assert {"epoch", "step", "train_elbo", "valid_elbo", "rate", "distortion", "lr", "kl_weight"} <= set(told[0])
    assert all(type(value) in (int, float) for value in told[0].values())
    assert [each["epoch"] for each in told] == [1, 2, 3]
    longer = pyrovae.fit(resume=tmp_path / "run", epochs=4, data=X, show=False, on_epoch=told.append)
    assert [each["epoch"] for each in told] == [1, 2, 3, 4]
    assert longer.metrics == told


def test_nothing_of_the_fit_follows_from_it():
    drawn = []

    def meddles(metrics):
        drawn.append([*torch.rand(3).tolist(), pyro.sample("u", pyro.distributions.Normal(0, 1)).item()])
        torch.manual_seed(3)
        np.random.seed(3)
        random.seed(3)
        metrics.clear()

    require_same(pyrovae.fit("vae", on_epoch=meddles, **TINY), pyrovae.fit("vae", **TINY))
    assert len({each[0] for each in drawn}) == 3  # and it does not get the same numbers at each epoch


def test_an_error_in_it_keeps_its_type_and_loses_nothing(tmp_path):
    def prunes(metrics):
        if metrics["epoch"] == 2:
            raise PrunedError("worse than the others")

    whole = pyrovae.fit("vae", **TINY)
    with pytest.raises(PrunedError, match="worse than the others") as error:
        pyrovae.fit("vae", out=tmp_path / "run", on_epoch=prunes, checkpoint_every="0", **TINY)
    (note,) = error.value.__notes__
    resume = f"pyrovae.fit(resume={str(tmp_path / 'run')!r})"
    assert "raised by on_epoch" in note and "prunes, after epoch 2" in note and resume in note
    assert len(pyrovae.load(tmp_path / "run", data=X, device="cpu").metrics) == 2
    require_same(pyrovae.fit(resume=tmp_path / "run", data=X, show=False), whole)
    with pytest.raises(PrunedError) as error:
        pyrovae.fit("vae", on_epoch=prunes, **TINY)
    assert "nothing of the fit is kept" in error.value.__notes__[0]


def test_an_interrupt_in_it_ends_the_fit_as_ctrl_c_does(tmp_path):
    def stops(metrics):
        raise KeyboardInterrupt

    run = pyrovae.fit("vae", out=tmp_path / "run", on_epoch=stops, **TINY)
    assert (run.results["stopped"], run.status, len(run.metrics)) == ("interrupted", "training", 1)


@pytest.mark.parametrize(
    ("call", "says"),
    [(3, "on_epoch is of type int"), (lambda: None, "<lambda>: too many positional arguments: give a function of one")],
)
def test_what_cannot_be_called_is_told_before_anything_is_trained(call, says, monkeypatch):
    monkeypatch.setattr("pyrovae.training.fit.train", lambda *args, **options: pytest.fail("it trains"))
    with pytest.raises(UsageError, match=says):
        pyrovae.fit("vae", on_epoch=call, **TINY)


def test_only_the_first_process_tells(monkeypatch):
    given = {}
    monkeypatch.setattr("pyrovae.training.fit.train", lambda *args, tell, **options: given.setdefault("tell", tell))
    for rank in (0, 1):
        monkeypatch.setattr("pyrovae.training.fit.world", lambda rank=rank: World(rank, 2))
        given.clear()
        with pytest.raises(AttributeError):  # what stands for training gives no weights
            pyrovae.fit("vae", on_epoch=print, **TINY)
        assert (given["tell"].__class__.__name__ == "Listener") == (rank == 0)
