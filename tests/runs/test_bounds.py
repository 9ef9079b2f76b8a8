"""What Python's verbs take is bounded as the options of the command line are."""

import numpy as np
import pytest
import torch
from commands import score_quickly

import pyrovae
from pyrovae import UsageError, evaluation
from pyrovae.pairs.pair import Pair


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    score_quickly(monkeypatch)


@pytest.fixture(scope="module")
def run():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    return pyrovae.fit("vae", data=x, epochs=1, hidden=(4,), latent_dim=2, score_samples=2, show=False)


CALLS = {
    "limit": [
        lambda run, n: run.log_likelihood(3, limit=n),
        lambda run, n: run.ais(2, 2, limit=n),
        lambda run, n: run.bdmc(2, 2, limit=n),
        lambda run, n: run.gap(limit=n),
        lambda run, n: run.evaluate(3, limit=n),
        lambda run, n: run.evaluate(3, limit=n, evenly=True),
        lambda run, n: run.encode(limit=n),
        lambda run, n: run.split("test", n),
        lambda run, n: run.accuracy(limit=n),
        lambda run, n: run.labels(limit=n),
    ],
    "samples": [
        lambda run, n: run.log_likelihood(n),
        lambda run, n: run.evaluate(n),
        lambda run, n: run.gap(limit=2, samples=n),
    ],
    "chunk": [lambda run, n: run.log_likelihood(3, chunk=n)],
    "steps": [
        lambda run, n: run.ais(n, 2),
        lambda run, n: run.bdmc(n, 2),
        lambda run, n: run.interpolate(1, n),
        lambda run, n: evaluation.refit(run.pair, run.split("test", 2), steps=n),
    ],
    "rounds": [lambda run, n: evaluation.refit(run.pair, run.split("test", 2), steps=1, rounds=n)],
    "chains": [lambda run, n: run.ais(2, n), lambda run, n: run.gap(limit=2, chains=n)],
    "leapfrog": [lambda run, n: run.ais(2, 2, leapfrog=n)],
    "draws": [lambda run, n: evaluation.elbo_per_datum(run.pair, run.split("test", 2), draws=n)],
    "n": [lambda run, n: run.sample(n), lambda run, n: run.reconstruct(n)],
    "rows": [lambda run, n: run.interpolate(n)],
}

EACH = [(name, call) for name, calls in CALLS.items() for call in calls]


@pytest.mark.parametrize("value", [-1, 0, 1.5, True, "3", 10**12], ids=repr)
@pytest.mark.parametrize(("name", "call"), EACH)
def test_what_is_no_whole_number_in_its_bounds_is_refused(run, name, call, value):
    with pytest.raises(UsageError, match=rf"^{name} = .*: give a whole number of at least 1"):
        call(run, value)


VERBS = [
    lambda run, seed: run.log_likelihood(2, limit=2, seed=seed),
    lambda run, seed: run.ais(2, 2, limit=2, seed=seed),
    lambda run, seed: run.bdmc(2, 2, limit=2, seed=seed),
    lambda run, seed: run.encode(limit=2, seed=seed),
    lambda run, seed: run.gap(limit=2, samples=2, ais_steps=2, seed=seed),
    lambda run, seed: run.evaluate(2, limit=2, seed=seed),
    lambda run, seed: run.sample(2, seed=seed),
    lambda run, seed: run.reconstruct(2, seed=seed),
    lambda run, seed: run.interpolate(1, 2, seed=seed),
    lambda run, seed: evaluation.refit(run.pair, run.split("test", 2), steps=1, rounds=1, seed=seed),
]


@pytest.mark.parametrize("verb", VERBS)
def test_a_seed_is_a_whole_number_below_that_of_the_command_line(run, verb):
    for value in (-1, 1.5, True, 2**31, 2**70):
        with pytest.raises(UsageError, match=r"^seed = .*: give a whole number of at least 0, at most 2,147,483,647"):
            verb(run, value)
    verb(run, 2**31 - 1)
    verb(run, np.int64(3))


def test_a_fit_takes_every_seed_of_the_command_line(run):
    most = {"seed": 2**31 - 1, "data_seed": 2**31 - 1}
    pyrovae.fit(
        "vae", data=torch.randn(30, 5), epochs=1, hidden=(4,), latent_dim=2, score_samples=2, show=False, **most
    )


def test_truth_is_no_number():
    for wrong in ({"batch_size": True}, {"lr": True}, {"hidden": (True,)}, {"epochs": False}):
        with pytest.raises(UsageError, match=r"= \(?(True|False).*: this is no number"):
            pyrovae.fit("vae", data=torch.randn(30, 5), **wrong)


@pytest.mark.parametrize("verb", [VERBS[0], VERBS[1], VERBS[2], VERBS[4], VERBS[9]])
def test_inference_mode_is_kept_out_of_what_takes_gradients(run, verb):
    with torch.inference_mode():
        verb(run, 0)
        evaluation.refit(run.pair, (torch.randn(2, 5),), steps=1, rounds=1)


def test_whole_numbers_of_numpy_and_torch_are_taken(run):
    assert len(run.log_likelihood(np.int64(3), limit=torch.tensor(2)).ess) == 2
    assert isinstance(run.pair, Pair)
