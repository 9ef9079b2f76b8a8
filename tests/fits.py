"""Small fits, fits that stop without a word before a step, and whether two runs are the same to the last bit."""

import pytest
import torch

import pyrovae
from pyrovae.options import TrainConfig
from pyrovae.runs import tensors
from pyrovae.runtime.progress import progress
from pyrovae.runtime.seeding import seeded
from pyrovae.training.loop import train

CPU = torch.device("cpu")
QUICK = {"epochs": 4, "batch_size": 16, "score_samples": 2, "device": "cpu", "show": False}
VAE = QUICK | {"latent_dim": 2, "hidden": (6,)}
LEFT = ("train_seconds", "score_seconds", "lowering_seconds")


def trained(pair, data, on_epoch=lambda metrics: None, **options):
    with seeded(0):
        return train(pair, data, TrainConfig(**options), CPU, progress(False), on_epoch)


def vae(data, seed=0):
    variant = pyrovae.registry.variant("vae")
    with seeded(seed):
        return variant.build(
            variant.config(latent_dim=2, hidden=(6,)), data.fields, pyrovae.registry.families.family("diagonal")
        )


class Killed(BaseException):
    """Stands for the end of the process."""


def stopped(monkeypatch, at, *arguments, **options):
    """Fits, and stops without a word before step `at`."""
    call, count = pyrovae.svi.Step.__call__, iter(range(1, 10**6))

    def until(self, *given):
        if next(count) == at:
            raise Killed
        return call(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr("pyrovae.svi.Step.__call__", until)
        with pytest.raises(Killed):
            pyrovae.fit(*arguments, **options)


def require_same(run, other):
    """The same weights, metrics, held-out choice and scores."""
    ours, theirs = tensors.weights(run.pair), tensors.weights(other.pair)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    timeless = [[{k: v for k, v in each.items() if k not in LEFT} for each in r.metrics] for r in (run, other)]
    assert timeless[0] == timeless[1]
    assert {k: v for k, v in run.results.items() if k not in LEFT} == {
        k: v for k, v in other.results.items() if k not in LEFT
    }
