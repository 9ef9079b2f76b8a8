"""Numbers that go wrong are seen: steps that are skipped, what was not finite first, and what is said of a run."""

import dataclasses
import json
import re

import pyro
import pyro.distributions as dist
import pytest
import torch
from commands import run as command
from commands import the_error
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError
from pyrovae.options import TrainConfig
from pyrovae.runs import tensors
from pyrovae.runs.outcome import FinalScores, Outcome
from pyrovae.svi.culprit import of_batch
from pyrovae.training.advice import concerns

QUICK = {"score_samples": 2, "device": "cpu", "show": False, "data_seed": 0}
BAD = 5


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(3), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z + self.loc, 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    """Does not read x: a datum that is far off touches the site x alone."""

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.loc.expand(len(x), 3), 1.0).to_event(1))


@pytest.fixture
def splits():
    """40 training data, of which one is so far off that its density is 0 in float32."""
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    x[BAD] = 1e25
    return {"train": x[:40], "valid": x[40:50], "test": x[50:]}


def test_a_step_with_a_bad_datum_is_skipped_and_counted(splits):
    run = pyrovae.fit(Pair(Model(), Guide()), data=splits, batch_size=10, epochs=5, **QUICK)
    assert (run.results["stopped"], run.results["steps"], run.results["skipped_steps"]) == ("done", 20, 5)
    assert any("5 of 20 steps were skipped" in warning for warning in run.results["warnings"])
    assert all(torch.isfinite(tensor).all() for tensor in tensors.weights(run.pair).values())
    assert all(torch.isfinite(torch.tensor(epoch["train_elbo"])) for epoch in run.metrics)


def test_so_many_in_a_row_stop_the_fit_with_the_last_good_weights(splits, tmp_path):
    pair = Pair(Model(), Guide())
    pyrovae.fit(pair, data=splits | {"train": splits["train"][6:]}, epochs=1, **QUICK)  # good weights
    before = {name: tensor.clone() for name, tensor in tensors.weights(pair).items()}
    run = pyrovae.fit(pair, data=splits, batch_size=40, epochs=50, max_skipped=7, out=tmp_path / "run", **QUICK)
    assert (run.results["stopped"], run.results["steps"], run.results["skipped_steps"]) == ("diverged", 7, 7)
    assert run.results["why"] == f"site 'x' of the model has log-probability -inf at training datum {BAD}"
    assert all(torch.equal(before[name], tensor) for name, tensor in tensors.weights(run.pair).items())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["results"]["stopped"] == "diverged"


def test_nothing_but_bad_steps_is_an_error_that_names_the_datum(splits, tmp_path):
    splits["train"][:] = 1e25
    with pytest.raises(PyrovaeError, match=r"7 of 7 steps were skipped.*site 'x' .* at training datum 0"):
        pyrovae.fit(Pair(Model(), Guide()), data=splits, batch_size=4, max_skipped=7, out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_skipped_step_leaves_the_moments_of_norms_alone(splits):
    class Normed(Guide):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.Normal(self.norm(x) + self.loc, 1.0).to_event(1))

    splits["train"][BAD] = 1e30  # whose square is no number of float32
    run = pyrovae.fit(Pair(Model(), Normed()), data=splits, batch_size=10, epochs=3, **QUICK)
    assert run.results["skipped_steps"] == 3
    assert all(torch.isfinite(tensor).all() for tensor in tensors.weights(run.pair).values())
    assert run.pair.guide.norm.running_var.max() < 10


def test_the_first_site_and_datum_are_named():
    x = torch.randn(8, 3)
    pair = Pair(Model(), Guide())
    assert of_batch(pair, (x,)) == ""
    x[6] = 1e30
    assert of_batch(pair, (x,), begin=100) == "site 'x' of the model has log-probability -inf at training datum 106"
    with torch.no_grad():
        pair.guide.loc[1] = torch.nan
    assert of_batch(pair, (x,)).startswith("site 'z' of the guide has log-probability nan at training datum 0")
    x[3, 1] = torch.nan
    assert of_batch(pair, (x,)) == "field 'x' of training datum 3 is not finite"


def test_a_gradient_that_is_not_finite_is_named():
    class Rooted(Guide):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                loc = self.loc.square().sqrt()  # its gradient at 0 is 0 / 0
                pyro.sample("z", dist.Normal(loc.expand(len(x), 3), 1.0).to_event(1))

    with pytest.raises(PyrovaeError, match=r"the gradient of guide\.loc, while all sites were finite"):
        pyrovae.fit(Pair(Model(), Rooted()), data=torch.randn(60, 3), epochs=50, batch_size=4, max_skipped=3, **QUICK)


def test_the_command_exits_with_one_and_keeps_the_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = pyrovae.svi.Step.raw

    def poisoned(self, *given):
        figures, gradients, finite = call(self, *given)
        bad = torch.where(self.optimizer.skipped + self.optimizer.streak >= 0, torch.nan, 0.0)
        return figures, tuple(gradient + bad for gradient in gradients), finite

    monkeypatch.setattr("pyrovae.svi.Step.raw", poisoned)
    quick = ("--score-samples", 2, "--score-limit", 5, "--hidden", 4, "--latent-dim", 2, "--quiet")
    found = command("fit", "--model", "vae", "--epochs", 2, "--max-skipped", 12, "--out", "run", *quick)
    assert found.exit_code == 1
    told = the_error(found.stderr)
    assert "training was stopped after 12 steps, of which 12 were skipped" in told
    assert "the gradient of" in told
    assert (tmp_path / "run" / "weights.safetensors").is_file()


OUTCOME = Outcome("done", 1, 3, 30, 0, 0, 7, 1.0, "eager", False, 0.0)


def with_rate(rate):
    return FinalScores(-9.0, rate, 9.0 - rate, None, None, {}, 1.0)


def epochs(*elbos, weight=1.0):
    return [{"valid_elbo": elbo, "kl_weight": weight} for elbo in elbos]


@pytest.mark.parametrize(
    ("metrics", "outcome", "config", "says"),
    [
        (epochs(-9.0, -8.0, -7.0), {}, {}, None),
        (epochs(-9.0, -8.0), {}, {}, None),
        (epochs(-8.0, -9.0, -12.0), {}, {}, "training diverged: the held-out ELBO ended at -12.00, below the -8.00"),
        (epochs(-8.0, -9.0, float("nan")), {}, {}, "training diverged: the held-out ELBO ended at nan"),
        (epochs(-9.0, -8.0, -7.0), {"skipped_steps": 2}, {}, "2 of 30 steps were skipped"),
        (epochs(-9.0, -8.0, -7.0, weight=0.3), {}, {"kl_warmup": 10}, "the KL warm-up never ended: .* was 0.30 and"),
        (epochs(-9.0, -8.0, -7.0), {}, {"kl_warmup": 2}, None),
        (epochs(-9.0, -8.0, -7.0, weight=29 / 30), {}, {"kl_warmup": 3}, None),
    ],
)
def test_what_is_said_of_a_run(metrics, outcome, config, says):
    ended = dataclasses.replace(OUTCOME, **{"test": with_rate(5.0)} | outcome)
    found = concerns(metrics, ended, TrainConfig(**config), None)
    if says is None:
        assert found == []
    else:
        (sentence,) = found
        assert re.search(says, sentence)


class Reading(Guide):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(x + self.loc, 1.0).to_event(1))


class Deaf(Model):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(x.new_zeros(3), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.loc.expand(len(x), 3), 1.0).to_event(1), obs=x)


class Alone(Deaf):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("x", dist.Normal(self.loc.expand(len(x), 3), 1.0).to_event(1), obs=x)


class Nothing(nn.Module):
    def forward(self, x):
        pass


@pytest.mark.parametrize(
    ("model", "guide", "says"),
    [
        (Model, Guide, "z is not used: the rate is 0.0. nats and swapping z between data costs .*; try free bits"),
        (Deaf, Reading, "The model does not read z: the guide spends 1.* nats on it, swapping z .* costs 0.00 nats"),
        (Model, Reading, None),
        (Alone, Nothing, None),
    ],
)
def test_a_fit_says_that_z_is_not_used_as_evaluate_does(model, guide, says):
    """The rate alone says nothing of a model that does not read what its guide spends."""
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    run = pyrovae.fit(Pair(model(), guide()), data=x, epochs=1, lr=1e-9, **QUICK)
    diagnosis = run.evaluate(samples=2)["diagnosis"][0]
    told = [warning for warning in run.results["warnings"] if "z" in warning]
    if says is None:
        assert told == []
        assert "no latent" in diagnosis or diagnosis.startswith("z is used")
    else:
        assert re.search(says, told[0])
        assert told == [diagnosis.removesuffix(".")] or "tell the data apart" in diagnosis
