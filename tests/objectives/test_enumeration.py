"""Sites that are summed out: against Pyro's TraceEnum_ELBO, and against sums written by hand."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case
from pyro.infer import TraceEnum_ELBO
from torch import nn
from torch.nn.functional import softplus

from pyrovae import ELBO, Pair, PyrovaeError, fit
from pyrovae.evaluation import diagnose, elbo, elbo_per_datum, log_likelihood, posterior_moments
from pyrovae.lowering import Lowered
from pyrovae.objectives.choose import objective
from pyrovae.objectives.enumeration import Expectation
from pyrovae.options import TrainConfig
from pyrovae.pairs.traces import sites, traces
from pyrovae.svi import Optimizer, Step


class Model(nn.Module):
    """a ~ Categorical, b ~ Bernoulli, z ~ N(c(a), 1), x ~ N(z + d(b), 1)."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(()))
        self.c, self.d = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2, 2))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            a = pyro.sample("a", dist.Categorical(logits=self.a))
            b = pyro.sample("b", dist.Bernoulli(logits=self.b))
            z = pyro.sample("z", dist.Normal(self.c[a], 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z + self.d[b.long()], 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    """b before a, and z from both; one factor that knows a and one that does not."""

    def __init__(self, a="parallel", b="parallel", width=None):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(2, 1)
        self.loc, self.raw, self.weight = nn.Linear(4, 2), nn.Linear(4, 2), nn.Parameter(torch.ones(3))
        self.how, self.width = {"a": a, "b": b}, width

    def sample(self, name, q):
        return pyro.sample(name, q, infer={"enumerate": self.how[name]} if self.how[name] else {})

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            b = self.sample("b", dist.Bernoulli(logits=self.b(x).squeeze(-1)))
            b = b.expand(*b.shape[:-1], len(x)).unsqueeze(-1).to(x)
            a = self.sample("a", dist.Categorical(logits=self.a(torch.cat([x.expand(*b.shape[:-1], 2), b], -1))))
            lead = torch.broadcast_shapes(a.shape, b.shape[:-1])
            a, b = a.expand(lead), b.expand(*lead, 1)
            h = torch.cat([x.expand(*lead, 2), a.unsqueeze(-1).to(x), b], -1)
            loc = self.loc(h)
            q = dist.Uniform(loc, loc + self.width) if self.width else dist.Normal(loc, softplus(self.raw(h)))
            pyro.sample("z", q.to_event(1))
            pyro.factor("outside", self.weight[0] * x[:, 0].square(), has_rsample=True)
            pyro.factor("inside", self.weight[a] * x[:, 1], has_rsample=True)


def pair(**how):
    torch.manual_seed(0)
    return Pair(Model(), Guide(**how))


def theirs(pair, batch, K=None):
    """Of Pyro, on the noise of seed 3."""
    torch.manual_seed(3)
    parts = {"num_particles": K, "vectorize_particles": True} if K else {}
    return TraceEnum_ELBO(max_plate_nesting=1, **parts).differentiable_loss(pair.model, pair.guide, *batch)


def ours(pair, batch, K=None, **options):
    torch.manual_seed(3)
    weights = {name: options.pop(name) for name in ("kl_weight", "fraction") if name in options}
    return ELBO(pair, K, **options)(*batch, **weights)


def gradients(pair, value):
    return torch.autograd.grad(value, list(pair.parameters()), allow_unused=True, materialize_grads=True)


def assert_same(pair, a, b):
    torch.testing.assert_close(a, b, rtol=1e-5, atol=0)
    for one, other in zip(gradients(pair, a), gradients(pair, b), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("K", [None, 1, 4])
def test_two_sites_and_factors_are_those_of_trace_enum_elbo(K):
    tried, x = pair(), torch.randn(7, 2)
    found = ours(tried, [x], K)
    assert_same(tried, found.loss, theirs(tried, [x], K))
    with torch.no_grad():
        inside = (tried.guide.weight[0] * x[:, 0].square()).sum()
    assert (found.loss.detach() - inside + found.elbo).abs() > 0.1  # the other factor is part of the loss alone, too


@pytest.mark.parametrize("K", [None, 3])
@pytest.mark.parametrize("guide", ["diagonal", "iaf:steps=2:hidden=8"])
def test_ssvae_is_trained_as_by_trace_enum_elbo(guide, K):
    tried = case("ssvae", guide)
    found = tried.pair().train()
    assert_same(found, ours(found, tried.batch, K).loss, theirs(found, tried.batch, K))


@pytest.mark.parametrize("K", [None, 2])
def test_every_term_is_the_sum_over_the_values(K):
    """Values fixed one after another, weighted by their probability; z is drawn from where it hardly varies."""
    tried, x = pair(width=1e-4), torch.randn(5, 2)
    terms = ours(tried, [x], K, kl_weight=0.3)
    total = {"elbo": 0.0, "rate": 0.0, "distortion": 0.0, "loss": 0.0}
    for a in range(3):
        for b in range(2):
            values = {"a": torch.full((5,), a), "b": torch.full((5,), float(b))}
            p, q = traces(tried, [x], values=values)
            latent, inside = sites(q, observed=False), sites(p)
            weight = (latent["a"]["log_prob"] + latent["b"]["log_prob"]).exp()
            rate = sum(site["log_prob"] - inside[name]["log_prob"] for name, site in latent.items())
            distortion = -inside["x"]["log_prob"]
            factors = sum(site["log_prob"] for site in sites(q, observed=True).values())
            each = {"elbo": -rate - distortion, "rate": rate, "distortion": distortion}
            each["loss"] = distortion + 0.3 * rate + factors
            total = {name: total[name] + (weight * value).sum() for name, value in each.items()}
    for name, value in total.items():
        torch.testing.assert_close(getattr(terms, name), value, rtol=1e-4, atol=1e-3)


def test_closed_rates_of_classes_are_exact():
    tried, x = pair(), torch.randn(6, 2)
    with torch.no_grad():
        sampled, closed = (ours(tried, [x], 4000, kl=kl).rate for kl in ("sampled", "analytic"))
    torch.testing.assert_close(sampled, closed, rtol=1e-2, atol=0)
    found = diagnose(tried, [x])
    assert sum(found.rate.values()) * 6 == pytest.approx(closed.item(), rel=1e-4)
    q = traces(tried, [x], enumerate=True)[1]
    assert Expectation(q, 1)(torch.ones(3, 2, 6)).tolist() == pytest.approx([1.0] * 6)


def test_free_bits_weigh_each_value_by_its_probability():
    tried, x = pair(), torch.randn(6, 2)
    low, plain = (ours(tried, [x], free_bits=bits, kl="analytic") for bits in (1e-9, 0.0))
    torch.testing.assert_close(low.loss, plain.loss)  # no rate in closed form is below 0
    high = ours(tried, [x], free_bits=50.0)
    # Two classes and two dimensions of z: each of the four pays 50 nats a datum, and the gradient of the KL is gone.
    factors = ours(tried, [x]).loss - ours(tried, [x]).rate - ours(tried, [x]).distortion
    torch.testing.assert_close(high.loss, high.distortion + factors + 6 * 4 * 50.0)
    nats = ours(tried, [x], free_nats=100.0)
    torch.testing.assert_close(nats.loss, nats.distortion + factors + 600.0)


def test_a_scale_weighs_terms_and_leaves_probabilities_as_they_are():
    class Scaled(nn.Module):
        def __init__(self, program):
            super().__init__()
            self.program = program

        def forward(self, x):
            with pyro.poutine.scale(scale=0.25):
                self.program(x)

    tried, x = pair(), torch.randn(8, 2)
    found, whole = ours(Pair(Scaled(tried.model), Scaled(tried.guide)), [x]), ours(tried, [x])
    for a, b in zip(found, whole, strict=True):
        torch.testing.assert_close(a, b / 4)


def test_scores_sum_out_and_weights_draw():
    tried, x = pair(), torch.randn(9, 2)
    found = elbo_per_datum(tried, [x], draws=3000)
    whole = elbo(tried, [x.repeat(300, 1)])
    assert found.elbo.mean().item() == pytest.approx(whole["elbo"], abs=0.05)
    assert found.rate.mean().item() == pytest.approx(whole["rate"], abs=0.05)
    tried.guide.raw.weight.data.zero_()
    tried.guide.raw.bias.data.fill_(2.0)  # as wide as importance sampling needs it
    likelihood = log_likelihood(tried, [x], samples=20000)
    with torch.no_grad():  # a mixture of six normals, of covariance 2 I
        a = tried.model.a.log_softmax(0)
        b = torch.stack([-softplus(tried.model.b), -softplus(-tried.model.b)])
        means = tried.model.c[:, None] + tried.model.d
        inner = dist.Normal(means, math.sqrt(2)).to_event(1).log_prob(x[:, None, None])
        exact = (a[:, None] + b + inner).flatten(1).logsumexp(1)
    assert (likelihood.log_likelihood - exact).abs().max() < 0.05
    assert (found.elbo < exact).all()


def test_moments_of_a_class_are_those_of_its_code():
    tried, x = pair(), torch.randn(4, 2)
    moments = posterior_moments(tried, [x])
    mean, scale, _ = moments["a"]
    assert mean.shape == scale.shape == (4, 3)
    torch.testing.assert_close(mean.sum(-1), torch.ones(4))
    assert moments["b"][0].shape == (4,)


def test_what_is_summed_out_is_lowered():
    tried, x = pair().train(), torch.randn(6, 2)
    step, half, one = Step(ELBO(tried), Optimizer(list(tried.parameters()))), torch.tensor(0.5), torch.ones(())
    lowered, found = Lowered(step.objective, step.raw, (x,), one, half), []
    for call in (lowered, step.raw):
        torch.manual_seed(5)
        figures, gradients, _ = call((x.roll(1, 0),), half, one)
        found.append((figures.elbo, *gradients))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["stl", "iwae", "dreg", "renyi"])
def test_objectives_that_draw_refuse_what_is_summed_out(name):
    config = TrainConfig(objective=name, particles=3, alpha=0.5 if name == "renyi" else None)
    message = rf"^objective='{name}' draws .* and sites \['b', 'a'\] are summed out: take objective='elbo'"
    with pytest.raises(PyrovaeError, match=message):
        objective(pair(), [torch.randn(4, 2)], config)


@pytest.mark.parametrize("how", [None, "sequential"])
def test_a_discrete_site_that_is_drawn_is_refused_with_the_cure(how):
    with pytest.raises(PyrovaeError, match=r"sites \['a'\] are drawn without .* infer=\{'enumerate': 'parallel'\}"):
        fit(pair(a=how), data=torch.randn(40, 2), show=False)


def test_what_has_no_list_of_values_is_refused():
    class Endless(nn.Module):
        def __init__(self, q):
            super().__init__()
            self.q, self.scale = q, nn.Parameter(torch.ones(()))

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                n = pyro.sample("n", self.q(self.scale), infer={"enumerate": "parallel"})
                pyro.sample("x", dist.Normal(n, 1.0).expand([2]).to_event(1) if n.dim() == 0 else _near(n), obs=x)

    class Of(nn.Module):
        def __init__(self, q):
            super().__init__()
            self.q, self.scale = q, nn.Parameter(torch.ones(()))

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("n", self.q(self.scale), infer={"enumerate": "parallel"})

    def _near(n):
        return dist.Normal(n.float().unsqueeze(-1).expand(*n.shape, 2), 1.0).to_event(1)

    for q in (lambda scale: dist.Poisson(scale), lambda scale: dist.Normal(0.0, scale)):
        with pytest.raises(PyrovaeError, match=r"\['n'\] declare .* no finite list of values"):
            objective(Pair(Endless(q), Of(q)), [torch.randn(4, 2)], TrainConfig())
