"""What makes a comparison of guides fair: the same minibatches, one shared model, differences datum by datum."""

import numpy as np
import pytest
import torch

import pyrovae
from pyrovae import fitting, training

TINY = {"latent_dim": 2, "hidden": (6,), "score_samples": 5, "device": "cpu", "show": False, "compile": False}


@pytest.fixture
def x():
    """Sixty vectors of 6, 48 of them to train on."""
    return torch.randn(60, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def seen(monkeypatch):
    """The rows of every step of every fit of a test, one list a fit."""
    found, real = [], training.Step.__call__
    train = fitting.train

    def started(*args):
        found.append([])
        return train(*args)

    def noted(self, rows, *args):
        found[-1].append(rows["x"].clone())
        return real(self, rows, *args)

    monkeypatch.setattr(fitting, "train", started)
    monkeypatch.setattr(training.Step, "__call__", noted)
    return found


# ---- the same minibatches


def test_minibatches_follow_from_the_seed_alone(x, seen, tmp_path):
    np.save(tmp_path / "x.npy", x.numpy())
    common = TINY | {"epochs": 3, "batch_size": 20}
    for guide in ("diagonal", "full", "iaf:steps=2:hidden=8"):
        pyrovae.fit("vae", data=x, guide=guide, **common)
    pyrovae.fit("vae", data=x, particles=3, objective="iwae", **common | {"hidden": (4, 4)})
    pyrovae.fit("vae", data=tmp_path / "x.npy", stream=True, workers=0, guide="full", **common)
    pyrovae.fit("vae", data=x, guide="diagonal", seed=1, **common)
    first, *others, other_seed = seen
    assert [len(rows) for rows in first] == [20, 20, 8] * 3
    for fit in others:
        assert all(torch.equal(a, b) for a, b in zip(first, fit, strict=True))
    assert not torch.equal(first[0], other_seed[0])
    assert not torch.equal(first[0], first[3])  # a fresh order in every epoch


def test_minibatches_of_sentences_follow_from_the_seed_alone(seen, tmp_path):
    words = np.random.default_rng(0).choice(list("abcdefgh"), (60, 12))
    lines = [" ".join(row[: 1 + i % 12]) for i, row in enumerate(words)]
    (tmp_path / "s.txt").write_text("\n".join(lines))
    for guide in ("diagonal", "full"):
        small = TINY | {"epochs": 2, "batch_size": 10, "embedding": 4, "hidden": 6}
        pyrovae.fit("textvae", data=tmp_path / "s.txt", guide=guide, **small)
    first, second = seen
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
