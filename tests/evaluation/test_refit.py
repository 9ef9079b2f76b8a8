"""The guide refitted for each datum against closed forms, and importance sampling from other proposals."""

import dataclasses
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
from pyrovae.evaluation.importance.proposals import Widened, widened
from pyrovae.evaluation.refitting.copies import copied, draw_each
from pyrovae.evaluation.refitting.refit import refit
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.traces import draw, log_joint, particles, sites
from pyrovae.runtime.seeding import seeded

refitting = sys.modules[refit.__module__]

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
    monkeypatch.setattr(refitting, "CPU_BYTES", 1)
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
    assert (found.elbo > found.before - 0.05).all()  # which round is kept is decided by other draws
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


def test_gradients_are_those_of_each_datum_alone():
    """A plain loop over the data, each with a family of its own, at the same noise."""
    exact = known("diagonal", n=3)
    family = exact.pair.guide.q
    with torch.no_grad(), unvalidated():
        copies = copied(exact.pair, (exact.x,))
    (h,) = copies.inputs
    start = copies.parameters.items()
    stacked = {name: (value.detach() + 0.1 * torch.randn(3, *value.shape).double()) for name, value in start}
    stacked = {name: value.requires_grad_() for name, value in stacked.items()}
    with unvalidated():
        values, log_q = draw_each(copies.one, stacked, (h,), 7)
        bound = log_joint(exact.pair.model, (exact.x,), values, 7) - log_q
        found = torch.autograd.grad(bound.mean(0).sum(), list(stacked.values()))
        for i in range(3):
            mine = {name: value[i].detach().requires_grad_() for name, value in stacked.items()}
            q = torch.func.functional_call(family, mine, (h[i : i + 1],)).base_dist
            noise = ((values["z"][:, i : i + 1] - q.loc) / q.scale).detach()
            z = q.loc + q.scale * noise
            elbo = log_joint(exact.pair.model, (exact.x[i : i + 1],), {"z": z}, 7) - q.log_prob(z).sum(-1)
            torch.testing.assert_close(elbo[:, 0], bound[:, i])
            wanted = torch.autograd.grad(elbo.mean(), list(mine.values()))
            for a, b in zip(found, wanted, strict=True):
                torch.testing.assert_close(a[i], b)


def test_what_is_reported_is_not_by_the_draws_that_chose_the_round():
    exact = known("diagonal", n=3)
    found = refit(exact.pair, [exact.x], **QUICK, seed=5)

    def again(seed):
        parts = []
        with torch.no_grad(), unvalidated(), seeded(seed):
            for _ in range(refitting.PARTS):
                values, log_q = found.draw(torch.arange(3), refitting.DRAWS // refitting.PARTS)
                parts.append(log_joint(exact.pair.model, (exact.x,), values, len(log_q)) - log_q)
        return torch.cat(parts).mean(0)

    torch.testing.assert_close(found.elbo, again(7))
    assert not torch.allclose(found.elbo, again(6))


class Own(nn.Module):
    """q(z | x) by `make(a, b)` of two features of each of two dims: from the guide itself, or from a module."""

    def __init__(self, make, module=True):
        super().__init__()
        self.net = nn.Linear(5, 4).double()
        self.q = Made(make) if module else None
        self.make = make

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            h = self.net(x)
            pyro.sample("z", self.make(*h.chunk(2, -1)) if self.q is None else self.q(h))


class Made(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.net, self.make = nn.Linear(4, 4).double(), make

    def forward(self, h):
        return self.make(*self.net(h).chunk(2, -1))


class Effect(dist.Normal):
    """Draws noise into empty memory for the effect, as code that is not torch's does."""

    def rsample(self, sample_shape=()):
        noise = torch.empty(self._extended_shape(torch.Size(sample_shape)), dtype=self.loc.dtype)
        noise.normal_()
        return self.loc + self.scale * noise

    def expand(self, batch_shape, _instance=None):
        return Effect(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


@pytest.mark.parametrize("module", [True, False])
@pytest.mark.parametrize("q", [dist.Normal, dist.Laplace, dist.Logistic, Effect])
def test_families_that_draw_in_place(q, module):
    """The ELBO that is reported is that of the family, at far more draws."""

    def make(a, b):
        return q(a, nn.functional.softplus(b) + 0.1).to_event(1)

    exact = known(n=3)
    found = refit(Pair(exact.pair.model, Own(make, module)), [exact.x], **QUICK | {"steps": 20, "rounds": 1})
    assert set(found.parameters) == ({"net.bias"} if module else {"net.weight", "net.bias"})
    with torch.no_grad(), unvalidated():
        values, log_q = found.draw(torch.arange(3), 20000)
        weight = log_joint(exact.pair.model, (exact.x,), values, 20000) - log_q
    assert ((found.elbo - weight.mean(0)).abs() < 5 * weight.std(0) / math.sqrt(1000)).all()
    noise = values["z"] - values["z"].mean(0)
    assert noise.std(0).min() > 0
    correlation = torch.corrcoef(noise[:, :, 0].T)
    assert (correlation - torch.eye(3)).abs().max() < 0.05  # each datum has noise of its own
    assert (found.elbo > found.before).all()


def test_a_module_whose_distribution_is_not_that_of_the_site_is_not_taken_for_the_family():
    class Tempered(Own):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                q = self.q(self.net(x)).base_dist
                pyro.sample("z", dist.Normal(q.loc, 1.5 * q.scale).to_event(1))

    exact = known(n=3)
    guide = Tempered(lambda a, b: dist.Normal(a, nn.functional.softplus(b)).to_event(1))
    found = refit(Pair(exact.pair.model, guide), [exact.x], **QUICK)
    assert len(found.parameters) == 4  # those of the encoder, too
    assert (exact.log_p - found.elbo).mean().item() == pytest.approx(exact.diagonal_gap, abs=0.06)


def test_a_module_that_makes_one_of_two_sites_is_not_the_whole_guide():
    class Half(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.q1 = inner, Own(lambda a, b: dist.Normal(a, nn.functional.softplus(b)).to_event(1)).q

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z1 = pyro.sample("z1", self.q1(x[:, :4]))
                both = torch.cat([z1, x.expand(*z1.shape[:-1], 5)], -1)
                scale = self.inner.tril2.diagonal().abs()
                pyro.sample("z2", dist.Normal(self.inner.second(both), scale).to_event(1))

    exact = chain(n=2)
    found = refit(Pair(exact.pair.model, Half(exact.pair.guide)), [exact.x], steps=3, rounds=1)
    values, _ = found.draw(torch.arange(2), 4)
    assert set(values) == {"z1", "z2"}


def test_a_module_without_parameters_leaves_the_encoder_to_be_refitted():
    class Bare(nn.Module):
        def forward(self, h):
            loc, raw = h.chunk(2, -1)
            return dist.Normal(loc, nn.functional.softplus(raw)).to_event(1)

    exact = known(n=3)
    guide = Own(None)
    guide.q = Bare()
    found = refit(Pair(exact.pair.model, guide), [exact.x], **QUICK)
    assert set(found.parameters) == {"net.weight", "net.bias"}
    assert (exact.log_p - found.elbo).mean().item() == pytest.approx(exact.diagonal_gap, abs=0.05)
    del guide.net
    guide.net = lambda x: x[:, :4]
    with pytest.raises(PyrovaeError, match="the guide has no parameters, so there is nothing to refit"):
        refit(Pair(exact.pair.model, guide), [exact.x], **QUICK)


def test_a_datum_that_is_not_finite_spoils_no_other(monkeypatch):
    exact = known(n=3)
    x = exact.x.clone()
    x[1] = math.nan
    monkeypatch.setattr(refitting, "CPU_BYTES", 1)  # each datum by itself
    found = refit(exact.pair, [x], **QUICK)
    assert found.elbo.isfinite().tolist() == [True, False, True]


def test_parts_are_told_as_one(monkeypatch):
    """All must have converged; rounds are the most, the gain is the mean over the data."""
    exact, whole = known(n=3), refitting._refit
    told = iter([(True, 1, 0.1), (False, 4, 0.6), (True, 2, 0.2)])

    def part(*args):
        converged, rounds, gain = next(told)
        return dataclasses.replace(whole(*args), converged=converged, rounds=rounds, gain=gain)

    monkeypatch.setattr(refitting, "CPU_BYTES", 1)
    monkeypatch.setattr(refitting, "_refit", part)
    found = refit(exact.pair, [exact.x], steps=1, rounds=1)
    assert (found.converged, found.rounds) == (False, 4)
    assert found.gain == pytest.approx(0.3)
    assert found.elbo.shape == (3,)


def test_data_are_refitted_in_parts_that_fit_the_memory():
    """Scoring takes more draws at once than a step does."""
    exact = known()
    with unvalidated():
        at_once = refitting._at_once(exact.pair, [exact.x], torch.device("cpu"))
    assert at_once * refitting.DRAWS // refitting.PARTS * 5 * 8 <= refitting.CPU_BYTES // 4


def test_refusals():
    exact, wordy = known(), case("textvae-no-z")
    with pytest.raises(UsageError, match="steps = 0: give a whole number of at least 1"):
        refit(exact.pair, [exact.x], steps=0, rounds=1)
    with pytest.raises(PyrovaeError, match="no latent site, so there is no guide to refit"):
        refit(wordy.pair(), wordy.batch)
    with pytest.raises(PyrovaeError, match=r"sites \['y'\] are drawn without reparametrization"):
        refit(discrete(), [exact.x])

    def positive(a, b):
        return dist.Beta(nn.functional.softplus(a), nn.functional.softplus(b)).to_event(1)

    with pytest.raises(PyrovaeError, match="torch cannot draw from this guide with parameters for each datum"):
        refit(Pair(exact.pair.model, Own(positive)), [exact.x])


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


def test_what_is_masked_stays_masked():
    mask = torch.tensor([True, False])
    q = widened(dist.Normal(torch.zeros(2), 1.0).mask(mask), 2.0)
    z = torch.tensor([0.3, 0.4])
    torch.testing.assert_close(q.log_prob(z), dist.Normal(0.0, 2.0).log_prob(z) * mask)


def test_what_cannot_be_widened_is_refused_by_name():
    for q in (dist.Gamma(1.0, 1.0), dist.HalfNormal(1.0), dist.HalfNormal(torch.ones(3)).to_event(1)):
        with pytest.raises(NotImplementedError):
            widened(q, 2.0)

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

    with pytest.raises(PyrovaeError, match=r"site 'z' is drawn from a .*cannot be widened: take proposal='guide'"):
        log_likelihood(Pair(Model(), Guide()), [torch.ones(2, 1)], 5, proposal="widened")
    refitted = refit(Pair(Model(), Guide()), [torch.ones(2, 1)], steps=2, rounds=1)
    assert log_likelihood(Pair(Model(), Guide()), [torch.ones(2, 1)], 5, proposal=refitted).drawn.tolist() == [5, 5]


def test_unknown_proposals_are_refused():
    exact = known()
    with pytest.raises(UsageError, match="proposal = 'prior' is none of guide, widened, refit"):
        log_likelihood(exact.pair, [exact.x], 5, proposal="prior")
    with pytest.raises(UsageError, match=r"wider = 0.5: a proposal narrower than the guide misses mass"):
        log_likelihood(exact.pair, [exact.x], 5, proposal="widened", wider=0.5)
