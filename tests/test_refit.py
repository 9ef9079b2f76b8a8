"""The guide refitted for each datum against closed forms, and importance sampling from other proposals."""

import math
import sys

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case, linear
from gaussian import chain, known
from torch import nn

from pyrovae import Pair, PyrovaeError, UsageError, log_likelihood
from pyrovae.evaluation.proposals import Widened, widened
from pyrovae.evaluation.refit import refit
from pyrovae.traces import draw, particles, sites, unvalidated

QUICK = {"steps": 100, "lr": 2e-2, "rounds": 3}


def test_diagonal_family_leaves_exactly_the_known_gap():
    exact = known("diagonal")
    found = refit(exact.pair, [exact.x], **QUICK)
    assert found.converged
    assert (exact.log_p - found.before > exact.diagonal_gap + 0.1).all()  # the amortized guide is far off
    gap = (exact.log_p - found.elbo).mean().item()
    assert gap == pytest.approx(exact.diagonal_gap, abs=0.02)


def test_full_family_closes_the_gap():
    exact = known("full")
    found = refit(exact.pair, [exact.x], **QUICK)
    torch.testing.assert_close(found.elbo, exact.log_p, atol=0.04, rtol=0)


def test_two_sites_are_refitted_together():
    """The guide makes its distributions itself, one from the draw of the other: all of its parameters are copied."""
    exact = chain()
    found = refit(exact.pair, [exact.x], **QUICK | {"rounds": 10})
    assert found.converged
    torch.testing.assert_close(found.elbo, exact.log_p, atol=0.06, rtol=0)


def test_only_the_family_is_copied_where_one_module_makes_the_distribution():
    exact = known("diagonal")
    found = refit(exact.pair, [exact.x], steps=1, rounds=1)
    assert set(found.parameters) == {"loc.bias", "raw.bias"}  # of a layer of the features the bias is enough
    whole = refit(chain().pair, [chain().x], steps=1, rounds=1)
    assert set(whole.parameters) == {name for name, _ in chain().pair.guide.named_parameters()}


def test_both_ways_to_copy_agree():
    """A family behind a module that takes two arguments is not found: all parameters are copied."""

    class Hidden(nn.Module):
        def __init__(self, guide):
            super().__init__()
            self.inner = guide

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                h = self.inner.encoder(x)
                q = self.inner.q.forward(h)  # no module is called
                pyro.sample("z", q)

    exact = known("diagonal")
    family = refit(exact.pair, [exact.x], **QUICK)
    whole = refit(Pair(exact.pair.model, Hidden(exact.pair.guide)), [exact.x], **QUICK)
    assert len(whole.parameters) > len(family.parameters)
    torch.testing.assert_close(whole.elbo, family.elbo, atol=0.03, rtol=0)


@pytest.mark.parametrize("steps", [1, 40])
def test_weights_of_a_refitted_guide_are_weights(steps):
    """However badly it is refitted, the importance estimate stays right."""
    exact = known("diagonal", n=4)
    found = refit(exact.pair, [exact.x], steps=steps, rounds=1)
    estimate = log_likelihood(exact.pair, [exact.x], 20000, proposal=found)
    assert estimate.proposal == "refit"
    trusted = estimate.pareto_k < 0.5
    assert trusted.sum() >= 3
    assert ((estimate.log_likelihood - exact.log_p).abs() < 5 * estimate.standard_error)[trusted].all()


def test_data_are_refitted_alone(monkeypatch):
    """Each datum has parameters, noise and a fit of its own, whatever stands beside it."""
    exact = known("diagonal", n=4)
    together = refit(exact.pair, [exact.x], **QUICK)
    monkeypatch.setattr(sys.modules[refit.__module__], "CPU_BYTES", 1)
    apart = refit(exact.pair, [exact.x[:2]], **QUICK)
    torch.testing.assert_close(apart.elbo, together.elbo[:2], atol=0.15, rtol=0)  # scored with other noise
    values, _ = together.draw(torch.tensor([2, 0]), 5000)
    mean = values["z"].mean(0)
    again, _ = together.draw(torch.tensor([0, 2]), 5000)
    torch.testing.assert_close(mean.flip(0), again["z"].mean(0), atol=0.05, rtol=0)
    assert (mean[0] - mean[1]).abs().max() > 0.1
    assert not torch.equal(values["z"][0, 0] - mean[0], values["z"][0, 1] - mean[1])  # noise of its own


@pytest.mark.parametrize("guide", ["diagonal", "full", "lowrank:rank=2", "iaf:steps=2:hidden=8"])
@pytest.mark.parametrize("name", ["vae-conv", "cvae-quadrants", "textvae"])
def test_every_pair_can_be_refitted(name, guide):
    tried = case(name, guide)
    pair, batch = tried.pair(), [tensor[:3] for tensor in tried.batch]
    before = {key: value.clone() for key, value in pair.state_dict().items()}
    found = refit(pair, batch, steps=15, rounds=2, lr=1e-2)
    assert (found.elbo >= found.before).all()
    assert name == "textvae" or found.elbo.mean() > found.before.mean()  # at random weights it ignores z
    assert all(torch.equal(before[key], value) for key, value in pair.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in pair.parameters())
    assert pair.training
    estimate = log_likelihood(pair, batch, 40, proposal=found)
    assert estimate.log_likelihood.isfinite().all()


def test_same_seed_same_fit_and_nothing_is_moved():
    exact = known("diagonal", n=2)
    state = torch.get_rng_state()
    a, b, c = (refit(exact.pair, [exact.x], steps=5, rounds=1, seed=seed).elbo for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())


def test_refusals():
    exact, wordy = known(), case("textvae-no-z")
    with pytest.raises(UsageError, match="steps = 0 and rounds = 1 must be at least 1"):
        refit(exact.pair, [exact.x], steps=0, rounds=1)
    with pytest.raises(PyrovaeError, match="no latent site, so there is no guide to refit"):
        refit(wordy.pair(), wordy.batch)
    with pytest.raises(PyrovaeError, match=r"sites \['y'\] are drawn without reparametrization"):
        refit(discrete(), [exact.x])


def test_a_site_outside_the_plate_is_refused_by_name(global_pair):
    with pytest.raises(PyrovaeError, match=r"\['b'\] stand outside plate 'data'"):
        refit(global_pair, [torch.randn(3, 2)])


def discrete():
    class Model(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                y = pyro.sample("y", dist.Bernoulli(x.new_tensor(0.3)))
                pyro.sample("x", dist.Normal(y.unsqueeze(-1), x.new_ones(5)).to_event(1), obs=x)

    class Guide(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(5, 1).double()

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("y", dist.Bernoulli(logits=self.net(x)[..., 0]))

    return Pair(Model(), Guide())


def test_a_discrete_latent_is_scored_by_the_guide_and_the_widened_guide():
    pair, x = discrete(), torch.randn(4, 5, dtype=torch.float64)
    normal = torch.distributions.Normal
    wanted = torch.logaddexp(
        math.log(0.7) + normal(0.0, 1.0).log_prob(x).sum(-1), math.log(0.3) + normal(1.0, 1.0).log_prob(x).sum(-1)
    )
    for proposal in ("guide", "widened"):
        found = log_likelihood(pair, [x], 20000, proposal=proposal)
        torch.testing.assert_close(found.log_likelihood, wanted, atol=0.05, rtol=0)


# ---- the guide widened


@pytest.mark.parametrize("guide", ["diagonal", "full", "lowrank:rank=2", "iaf:steps=2:hidden=8"])
def test_widened_guides_are_wider_and_still_right(guide):
    exact = known(guide)
    with torch.no_grad(), unvalidated():
        plain = sites(draw(particles(exact.pair.guide, 20000), [exact.x]))["z"]["value"]
        program = particles(exact.pair.guide, 20000)
        with Widened(2.0):
            wide = sites(draw(program, [exact.x]))["z"]["value"]
    if guide.startswith("iaf"):
        assert (wide.std(0) > 1.5 * plain.std(0)).all()
    else:
        torch.testing.assert_close(wide.std(0), 2 * plain.std(0), rtol=0.05, atol=0)
        torch.testing.assert_close(wide.mean(0), plain.mean(0), rtol=0, atol=0.1)
    found = log_likelihood(exact.pair, [exact.x], 40000, proposal="widened", wider=1.3)
    trusted = found.pareto_k < 0.5
    assert trusted.sum() >= 3
    assert ((found.log_likelihood - exact.log_p).abs() < 5 * found.standard_error)[trusted].all()


def test_a_wider_proposal_covers_what_a_narrow_guide_misses():
    """The posterior's scale times 0.5 has weights without a variance; widened to the true scale they are all equal."""
    narrow = linear(wider=0.5)
    missed = log_likelihood(narrow.pair, [narrow.x], 2000)
    assert missed.pareto_k.mean() > 0.65
    assert not missed.verdict().trusted
    found = log_likelihood(narrow.pair, [narrow.x], 2000, proposal="widened", wider=2.0)
    torch.testing.assert_close(found.log_likelihood, narrow.log_p, atol=1e-6, rtol=0)


def test_what_cannot_be_widened_is_refused_by_name():
    with pytest.raises(NotImplementedError):
        widened(dist.Gamma(1.0, 1.0), 2.0)

    class Guide(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.ones(()))

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.Gamma(torch.ones(len(x), 1), self.rate).to_event(1))

    class Model(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Gamma(torch.ones(1), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    with pytest.raises(PyrovaeError, match=r"site 'z' is drawn from a .*cannot be widened: take --proposal refit"):
        log_likelihood(Pair(Model(), Guide()), [torch.ones(2, 1)], 5, proposal="widened")
    refitted = refit(Pair(Model(), Guide()), [torch.ones(2, 1)], steps=2, rounds=1)
    assert log_likelihood(Pair(Model(), Guide()), [torch.ones(2, 1)], 5, proposal=refitted).drawn.tolist() == [5, 5]


def test_unknown_proposals_are_refused():
    exact = known()
    with pytest.raises(UsageError, match="proposal = 'prior' is none of guide, widened, refit"):
        log_likelihood(exact.pair, [exact.x], 5, proposal="prior")
    with pytest.raises(UsageError, match=r"wider = 0.5: a proposal narrower than the guide misses mass"):
        log_likelihood(exact.pair, [exact.x], 5, proposal="widened", wider=0.5)
