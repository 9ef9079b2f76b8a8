"""Distributions that do not integrate to one, and floors of log-probabilities: seen there, and nowhere else."""

import math
import re

import pyro
import pyro.distributions as dist
import pytest
import torch
from commands import score_quickly
from conftest import linear
from torch import nn

from pyrovae import Pair, evaluation
from pyrovae.pairs.assumptions import broken
from pyrovae.pairs.floors import at_floor, floored
from pyrovae.pairs.normalisers import apart_from_one, improper
from pyrovae.pairs.structure import structure
from pyrovae.testing import check


@pytest.fixture(autouse=True)
def quick_scores(monkeypatch):
    score_quickly(monkeypatch)
    torch.manual_seed(0)


class Model(nn.Module):
    """z ~ N(0, I), and x of parameters that lie near the given ones."""

    def __init__(self, noise, numbers):
        super().__init__()
        self.noise = noise
        self.register_buffer("numbers", torch.as_tensor(numbers))
        self.scale = nn.Parameter(torch.full((), 1e-3))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(1), 1.0).to_event(1))
            pyro.sample("x", self.noise(self.numbers + self.scale * z), obs=x)


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.loc.expand(len(x), 1), 1.0).to_event(1))


def pair_of(noise, numbers):
    return Pair(Model(noise, numbers), Guide())


def single(*numbers):
    return [torch.tensor([float(number)], dtype=torch.float32) for number in numbers]


def double(*numbers):
    return [number.double() for number in single(*numbers)]


OFF = {  # what it integrates to, by (closed form) / (what torch computes)
    "ContinuousBernoulli, logit 100, double": (lambda: dist.ContinuousBernoulli(logits=double(100)[0]), 0.360),
    "ContinuousBernoulli, logit -50, double": (lambda: dist.ContinuousBernoulli(logits=double(-50)[0]), 0.721),
    "ContinuousBernoulli, logit 100, single": (lambda: dist.ContinuousBernoulli(logits=single(100)[0]), 0.159),
    "ContinuousBernoulli, logit 20, single": (lambda: dist.ContinuousBernoulli(logits=single(20)[0]), 0.797),
    "StudentT, 1e6 degrees, single": (lambda: dist.StudentT(single(1e6)[0], 0.0, 1.0), 0.922),
    "NegativeBinomial, 1e6, single": (lambda: dist.NegativeBinomial(*single(1e6), logits=single(-10)[0]), 0.695),
    "BetaBinomial, 1e6, single": (lambda: dist.BetaBinomial(*single(1, 1e6), 20), 0.368),
    "Binomial of 1e6, single": (lambda: dist.Binomial(*single(1e6), logits=single(-10)[0]), 0.704),
    "Gamma, 1e5, single": (lambda: dist.Gamma(*single(1e5, 1)), 0.956),
}


@pytest.mark.parametrize("name", OFF)
def test_what_does_not_integrate_to_one_is_seen(name):
    make, integral = OFF[name]
    off, total = apart_from_one(make())
    assert off.all()
    assert total.item() == pytest.approx(integral, abs=0.01)


def _mixture(kind):
    parts = dist.Normal(
        kind(0, 5, -5, 900)[0] * 0 + torch.tensor([0.0, 5.0, -5.0, 900.0]), torch.tensor([1e-4, 1e-3, 1e-4, 30.0])
    )
    return dist.MixtureSameFamily(dist.Categorical(logits=torch.tensor([[0.0, 0.0, 0.0, -2.0]])), parts.expand([1, 4]))


SOUND = {
    "ContinuousBernoulli": lambda kind: dist.ContinuousBernoulli(logits=kind(12)[0]),
    "Uniform": lambda kind: dist.Uniform(*kind(-3, 7)),
    "Normal, far and narrow": lambda kind: dist.Normal(*kind(1000, 0.01)),
    "Cauchy": lambda kind: dist.Cauchy(*kind(5, 1e-3)),
    "StudentT, half a degree": lambda kind: dist.StudentT(kind(0.5)[0], 0.0, 1.0),
    "Laplace": lambda kind: dist.Laplace(*kind(0, 2)),
    "Beta, at both ends": lambda kind: dist.Beta(*kind(0.05, 0.02)),
    "Beta": lambda kind: dist.Beta(*kind(50, 3)),
    "Gamma, at zero": lambda kind: dist.Gamma(*kind(0.02, 1)),
    "Pareto": lambda kind: dist.Pareto(*kind(2, 3)),
    "Weibull": lambda kind: dist.Weibull(*kind(3, 0.3)),
    "LogNormal": lambda kind: dist.LogNormal(*kind(3, 4)),
    "VonMises, flat": lambda kind: dist.VonMises(*kind(3, 0.1)),
    "VonMises": lambda kind: dist.VonMises(*kind(1, 50)),
    "peaks far from each other": _mixture,
    "Bernoulli": lambda kind: dist.Bernoulli(logits=kind(-30)[0]),
    "Geometric": lambda kind: dist.Geometric(probs=kind(1e-4)[0]),
    "Poisson": lambda kind: dist.Poisson(kind(300)[0]),
    "Binomial": lambda kind: dist.Binomial(20, logits=kind(2)[0]),
    "NegativeBinomial": lambda kind: dist.NegativeBinomial(kind(0.1)[0], logits=kind(5)[0]),
    "zeros far from counts": lambda kind: dist.ZeroInflatedPoisson(kind(9000)[0], gate=kind(0.3)[0]),
    "RelaxedBernoulli": lambda kind: dist.RelaxedBernoulli(*kind(0.1), logits=kind(1)[0]),
}


@pytest.mark.parametrize("kind", [single, double])
@pytest.mark.parametrize("name", SOUND)
def test_what_integrates_to_one_is_left_alone(name, kind):
    for seed in range(5):
        torch.manual_seed(seed)
        off, total = apart_from_one(SOUND[name](kind))
        assert not off.any(), total


def shares(h):
    return dist.ContinuousBernoulli(logits=h.expand(*h.shape[:-1], 3)).to_event(1)


@pytest.mark.parametrize(
    ("logit", "kind", "cure"),
    [
        (100.0, torch.float64, "in double precision, at row .*: keep its parameters"),
        (100.0, torch.float32, "in single precision, at row .*: keep its parameters"),
        (25.0, torch.float32, "in single precision, at row .*: score in double precision"),
    ],
)
def test_a_site_is_named_with_its_distribution_beside_a_score(logit, kind, cure):
    pair, x = pair_of(shares, logit).to(kind), torch.rand(9, 3).to(kind)
    verdict = evaluation.log_likelihood(pair, [x], 50).verdict()
    assert verdict.trusted is False
    assert re.search(rf"site 'x' has a ContinuousBernoulli that integrates to 0.*1 {cure}", verdict.sentence)


def test_a_law_of_check_tells_it():
    pair, x = pair_of(shares, 100.0), torch.rand(9, 3)
    found = {law.name: law for law in check(pair, [x])}["normaliser"]
    assert found.passed is False
    assert "site 'x' has a ContinuousBernoulli that integrates to 0.159 and not to 1" in found.detail


def test_double_precision_mends_what_it_is_advised_for():
    pair, x = pair_of(shares, 25.0).double(), torch.rand(9, 3, dtype=torch.float64)
    assert evaluation.log_likelihood(pair, [x], 50).verdict().trusted


def test_a_guide_is_looked_at_too_and_generators_stay():
    class Squeezed(Guide):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.ContinuousBernoulli(logits=60 + self.loc.expand(len(x), 1)).to_event(1))

    class Within(Model):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Uniform(x.new_zeros(1), 1.0).to_event(1))
                pyro.sample("x", self.noise(z), obs=x)

    pair = Pair(Within(lambda z: dist.Normal(z, 1.0).to_event(1), 0.0), Squeezed()).double()
    x = torch.randn(5, 1).double()
    found, state = structure(pair, [x]), torch.get_rng_state()
    (told,) = broken(pair, [x], found)
    assert "site 'z' has a ContinuousBernoulli" in told
    assert torch.equal(torch.get_rng_state(), state)


def test_sound_pairs_are_told_nothing():
    exact = linear()
    with torch.no_grad():
        assert improper(exact.pair, [exact.x]) == floored(exact.pair, [exact.x]) == ""


FLOORS = {
    "Bernoulli by probs": (lambda h: dist.Bernoulli(probs=h.sigmoid()).to_event(1), -50.0, [1.0]),
    "Categorical by probs": (lambda h: dist.Categorical(torch.cat([h, -h], -1).softmax(-1)).to_event(0), -50.0, 0.0),
    "OneHotCategorical by probs": (
        lambda h: dist.OneHotCategorical(torch.cat([h, -h], -1).softmax(-1)),
        -50.0,
        [1.0, 0],
    ),
    "OrderedLogistic": (lambda h: dist.OrderedLogistic(h[..., 0], h.new_tensor([-1.0, 0, 1])), 50.0, 0.0),
    "ProjectedNormal": (lambda h: dist.ProjectedNormal(torch.cat([h, 0 * h], -1)), 100.0, [-1.0, 0]),
}


@pytest.mark.parametrize("name", FLOORS)
def test_a_datum_at_a_floor_is_seen_and_a_likely_one_is_not(name):
    noise, number, value = FLOORS[name]
    pair, x = pair_of(noise, number).double(), torch.tensor([value] * 5, dtype=torch.float64)
    verdict = evaluation.log_likelihood(pair, [x], 50).verdict()
    assert verdict.trusted is False
    assert "site 'x' scores 5 of 5 data tried at the floor of" in verdict.sentence
    with torch.no_grad():
        assert floored(pair_of(noise, number / 20).double(), [x]) == ""


def test_a_floor_is_where_the_integral_says_that_it_is():
    """log p of a ProjectedNormal on the circle by quadrature along the ray."""
    angle = torch.linspace(0, math.pi, 61, dtype=torch.float64)
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    family = dist.ProjectedNormal(torch.tensor([20.0, 0], dtype=torch.float64))
    r = torch.linspace(0, 60, 60_001, dtype=torch.float64)[1:, None, None]
    off = ((r * direction - family.concentration).square().sum(-1) / 2 - r[..., 0].log()).neg()
    exact = off.logsumexp(0) + math.log(1e-3 / (2 * math.pi))
    wrong = (family.log_prob(direction) - exact).abs() > 1
    stands = at_floor(family, direction)
    assert wrong.any()
    assert stands[wrong].all()
    assert not stands[angle < 1.5].any()


def test_what_a_mask_leaves_out_and_logits_have_no_floor():
    family = dist.Bernoulli(probs=torch.tensor([1e-30, 0.5])).mask(torch.tensor([False, True])).to_event(1)
    assert not at_floor(family, torch.ones(2))
    assert at_floor(dist.Bernoulli(logits=torch.tensor([-90.0])).to_event(1), torch.ones(1)) is None
