"""A person's own pair with two latent sites goes through every command without a line of extra code."""

import json

import numpy as np
import pytest
from commands import done, run, score_quickly, the_error

TWO = '''
"""z1 -> z2 -> x, with a guide family for each."""
import pyro, pyro.distributions as dist
from torch import nn
from torch.nn.functional import softplus

from pyrovae import Pair
from pyrovae.nets import cat


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.second, self.decoder = nn.Linear(1, 2), nn.Linear(2, 5)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", dist.Normal(x.new_zeros(1), 1.0).to_event(1))
            z2 = pyro.sample("z2", dist.Normal(self.second(z1), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z2), 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, family, extra=(), width=2):
        super().__init__()
        self.encoder = nn.Linear(5, 4)
        self.q1, self.q2 = family(4, 1, site="z1"), family(5, width, site="z2")
        self.extra = extra

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            h = self.encoder(x)
            z1 = pyro.sample("z1", self.q1(h))
            if "z2" not in self.extra:
                pyro.sample("z2", self.q2(cat(z1, h)))
            if "z3" in self.extra:
                pyro.sample("z3", dist.Normal(x.new_zeros(1), 1.0).to_event(1))


class Two(Pair):
    def __init__(self, family):
        super().__init__(Model(), Guide(family))


class Lacks(Pair):
    def __init__(self, family):
        super().__init__(Model(), Guide(family, ("z2",)))


class OneMore(Pair):
    def __init__(self, family):
        super().__init__(Model(), Guide(family, ("z3",)))


class OtherShape(Pair):
    def __init__(self, family):
        super().__init__(Model(), Guide(family, width=3))
'''

FIT = ("--data", "x.npy", "--epochs", 2, "--score-samples", 30, "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    (folder / "two.py").write_text(TWO)
    np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("fit", "--model", "two.py:Two", "--guide", "z1=spline,z2=full", *FIT, "--out", "two", "--quiet")
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture
def quick(monkeypatch):
    score_quickly(monkeypatch)


def printed(*args):
    return json.loads(done(*args, "--trust", "--json").stdout)


@pytest.mark.parametrize("proposal", ["guide", "widened", "refit"])
def test_importance_sampling(proposal, quick):
    found = printed("loglik", "two", "--samples", 200, "--proposal", proposal)
    assert found["log_likelihood"] > -30


@pytest.mark.parametrize("start", ["prior", "guide"])
def test_chains(start, quick):
    few = ("--steps", 5, "--chains", 3, "--leapfrog", 3, "--start", start)
    assert printed("loglik", "two", "--method", "ais", *few)["log_likelihood"] > -40
    both = printed("loglik", "two", "--method", "bdmc", *few)
    assert both["lower"] > -40


def test_gap_and_evaluate(quick):
    found = printed("gap", "two", "--limit", 3, "--samples", 100, "--ais-steps", 3, "--chains", 2)
    assert found["inference"]["mean"] == pytest.approx(found["log_likelihood"]["mean"] - found["elbo"]["mean"])
    scores = printed("evaluate", "two", "--samples", 50)
    assert set(scores["sites"]["rate"]) == {"z1", "z2"}
    assert scores["diagnosis"]


def test_what_the_estimators_say_agrees():
    """Chains from the prior and from the guide, and samples from a guide so wide that it covers the posterior."""
    chains = ("--method", "ais", "--steps", 100, "--chains", 32, "--leapfrog", 4)
    found = [printed("loglik", "two", *chains, "--start", start) for start in ("prior", "guide")]
    found.append(printed("loglik", "two", "--samples", 20000, "--proposal", "widened", "--wider", 3))
    for other in found[1:]:
        error = (found[0]["standard_error"] ** 2 + other["standard_error"] ** 2) ** 0.5
        assert other["log_likelihood"] == pytest.approx(found[0]["log_likelihood"], abs=5 * error)


@pytest.mark.parametrize("objective", ["elbo", "stl", "iwae", "dreg", "renyi"])
def test_objectives(objective):
    several = () if objective in ("elbo", "stl") else ("--particles", 3)
    order = ("--alpha", 0.5) if objective == "renyi" else ()
    args = ("--objective", objective, *several, *order, "--out", f"by-{objective}", "--quiet")
    done("fit", "--model", "two.py:Two", *FIT, *args)


def test_compare_on_one_frozen_model(quick):
    args = ("--guides", "z1=full,z2=diagonal,z1=iaf,z2=planar,mixture", "--epochs", 1, "--gaps", 3, "--ais-steps", 3)
    found = json.loads(done("compare", "--freeze-model", "two", "--trust", *args, "--out", "c", "--json").stdout)
    assert [row["guide"] for row in found["table"]] == ["z1=full,z2=diagonal", "z1=iaf,z2=planar", "mixture"]
    assert len({row["log_p"]["mean"] for row in found["table"]}) == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Lacks", "latent sites ['z2'] stand in only one of model and guide"),
        ("OneMore", "latent sites ['z3'] stand in only one of model and guide"),
        ("OtherShape", "site 'z2' has event shape (2,) in the model and (3,) in the guide: set its dimensions"),
    ],
)
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_guides_that_do_not_fit_are_one_sentence(name, says, objective, tmp_path):
    particles = ("--particles", 3) if objective == "iwae" else ()
    args = ("--objective", objective, *particles, "--out", tmp_path / "out")
    result = run("fit", "--model", f"two.py:{name}", *FIT, *args)
    assert result.exit_code == 1
    assert says in the_error(result.stderr)
    assert not (tmp_path / "out").exists()
