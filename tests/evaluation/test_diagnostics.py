"""What is said of the latents: information, swaps, moments and their diagnosis, by quadrature and closed forms."""

import dataclasses
import math
import re

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import SMALL, case, linear, small
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, registry
from pyrovae.errors import dashed
from pyrovae.evaluation import Findings, aggregate, diagnose, diagnosis, mutual_information, swap_loss, usage
from pyrovae.evaluation.latents import information as module
from pyrovae.evaluation.latents.aggregate import Aggregate, prior_depends_on_data, worst
from pyrovae.pairs.modes import evaluating, unvalidated
from pyrovae.pairs.traces import draw, sites


class Reads(nn.Module):
    """z ~ N(reads * x, scale^2)."""

    def __init__(self, reads=1.0, scale=0.3):
        super().__init__()
        self.reads, self.scale = reads, scale

    def forward(self, x, *_):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.reads * x, self.scale).to_event(1))


class Decodes(nn.Module):
    """z ~ N(0, I), x ~ N(reads * z, I)."""

    def __init__(self, reads=1.0):
        super().__init__()
        self.reads = reads

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.reads * z, 1.0).to_event(1), obs=x)


class TopDown(nn.Module):
    """z2 ~ N(0, I), z1 ~ N(z2, I), x ~ N(z1, I)."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z2 = pyro.sample("z2", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))
            z1 = pyro.sample("z1", dist.Normal(z2, 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z1, 1.0).to_event(1), obs=x)


class BottomUp(nn.Module):
    """z1 ~ N(x, 0.3^2 I), z2 ~ N(z1, I / 4)."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", dist.Normal(x, 0.3).to_event(1))
            pyro.sample("z2", dist.Normal(z1, 0.5).to_event(1))


def by_quadrature(x, scale):
    """For z ~ N(x, scale^2) in one dimension: I(x; z), its leave-one-out bound, and KL(q(z) || N(0, 1))."""
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    step = (z[1] - z[0]).item()
    log_q = dist.Normal(x.double(), scale).log_prob(z)  # (N, G) from x (N, 1)
    n = len(x)
    whole = log_q.logsumexp(0) - math.log(n)
    rest = torch.stack([torch.cat([log_q[:i], log_q[i + 1 :]]).logsumexp(0) - math.log(n - 1) for i in range(n)])
    density = log_q.exp() * step
    kl = (whole.exp() * step * (whole - dist.Normal(0.0, 1.0).log_prob(z))).sum().item()
    return ((density * (log_q - whole)).sum(1).mean().item(), (density * (log_q - rest)).sum(1).mean().item(), kl)


@pytest.mark.parametrize("at_once", ["whole", "pieces"])
def test_information_and_marginal_kl_are_those_of_quadrature(at_once, monkeypatch):
    if at_once == "pieces":
        monkeypatch.setattr(module, "budget", lambda device: 4 * 4 * 7 * 300)
    x = torch.randn(8, 1)
    exact, upper, kl = by_quadrature(x, 0.3)
    pair = Pair(Decodes(), Reads())
    found = mutual_information(pair, [x], draws=20000)
    assert found.nats == pytest.approx(exact, abs=4 * found.standard_error)
    assert found.standard_error < 0.01
    assert found.upper == pytest.approx(upper, abs=6 * found.standard_error)
    assert exact < found.cap == math.log(8) and found.num_data == 8
    rate = diagnose(pair, [x]).rate["z"]
    assert rate - exact == pytest.approx(kl, abs=1e-4)
    used = usage(pair, [x], rate)
    assert used.marginal_kl == pytest.approx(kl, abs=4 * used.information.standard_error)
    assert used.marginal_kl_lower <= used.marginal_kl


def test_pieces_change_no_density(monkeypatch):
    x = torch.randn(23, 2)
    pair = Pair(TopDown(), BottomUp())
    whole = mutual_information(pair, [x], draws=31)
    calls, foreign = [], module.foreign
    monkeypatch.setattr(module, "budget", lambda device: 4 * 16 * 11)
    monkeypatch.setattr(module, "foreign", lambda *args: calls.append(1) or foreign(*args))
    pieces = mutual_information(pair, [x], draws=31)
    assert len(calls) > 10
    assert dataclasses.astuple(pieces) == pytest.approx(dataclasses.astuple(whole), rel=1e-6)


def test_information_of_two_sites_is_that_of_their_joint():
    """z2 is made from z1, so it adds nothing: I(x; z1, z2) = I(x; z1)."""
    x = torch.randn(40, 2)
    found = mutual_information(Pair(TopDown(), BottomUp()), [x], draws=8000, seed=1)
    mixture = dist.MixtureSameFamily(dist.Categorical(torch.ones(40)), dist.Normal(x, 0.3).to_event(1))
    owner = torch.arange(20000) % 40
    z = dist.Normal(x[owner], 0.3).sample()
    each = dist.Normal(x[owner], 0.3).to_event(1).log_prob(z) - mixture.log_prob(z)
    error = math.hypot(found.standard_error, each.std().item() / math.sqrt(20000))
    assert found.nats == pytest.approx(each.mean().item(), abs=4 * error)


def test_foreign_densities_are_those_of_one_datum_at_a_time(case):  # the fixture: each variant with each guide
    pair = case.pair().eval()
    batch = [tensor[:5] for tensor in case.batch]
    with torch.no_grad(), unvalidated(), evaluating(pair):
        values = module.drawn(pair, batch)
        if not values:
            assert mutual_information(pair, case.batch) is swap_loss(pair, case.batch) is None
            return
        found = module.foreign(pair, batch, {name: value[:3] for name, value in values.items()})
        for k in range(3):
            for b in range(5):
                one = [tensor[b : b + 1] for tensor in batch]
                q = draw(pair.guide, one, {name: value[k : k + 1] for name, value in values.items()})
                q.compute_log_prob()
                alone = sum(site["log_prob"] for site in sites(q, observed=False).values())
                torch.testing.assert_close(found[k, b], alone[0], rtol=1e-4, atol=1e-4)


def test_information_is_nothing_or_its_cap():
    x = torch.arange(50.0).unsqueeze(1)
    assert mutual_information(Pair(Decodes(), Reads(reads=0.0)), [x]).nats == pytest.approx(0, abs=1e-9)
    found = mutual_information(Pair(Decodes(), Reads(scale=0.01)), [x])
    assert found.nats == pytest.approx(math.log(50), abs=1e-9) == found.cap
    assert found.upper > 100
    one = mutual_information(Pair(Decodes(), Reads()), [x[:1]])
    assert (one.nats, one.upper, one.cap) == (pytest.approx(0, abs=1e-9), None, 0)


def test_information_of_some_of_the_data_is_that_of_these():
    x = torch.randn(60, 1)
    found = mutual_information(Pair(Decodes(), Reads()), [x], draws=4000, data=20)
    assert (found.num_data, found.cap) == (20, math.log(20))
    assert found.nats == pytest.approx(by_quadrature(x[::3], 0.3)[0], abs=4 * found.standard_error)


def test_what_is_taken_follows_what_a_density_costs():
    cheap, dear = (module.seconds_of_one(each.pair().eval(), each.batch) for each in (case("vae"), case("vae", "iaf")))
    assert dear > 20 * cheap
    assert module.affordable(10_000, cheap) == (module.DRAWS, 10_000)
    assert module.affordable(10, cheap) == (10 * module.PER_DATUM, 10)
    draws, data = module.affordable(10_000, 6e-5)
    assert draws == module.FEWEST and data < 10_000
    assert draws * data == pytest.approx(module.SECONDS / 6e-5, rel=0.01)
    assert module.affordable(10_000, 1.0) == (module.FEWEST, module.FEWEST)


def test_swap_loss_of_a_linear_gaussian_pair_is_known():
    """E over z: the traces of W S W' cancel, and means stay."""
    known = linear(n=400)
    model, guide, x = known.pair.model, known.pair.guide, known.x
    means = ((x - guide.b) @ guide.to_mean.T @ model.W.T + model.b).detach()
    squares = torch.cdist(x, means).square() / (2 * model.sigma**2)
    own, n = squares.diagonal().mean(), len(x)
    expected = ((squares.sum() - squares.diagonal().sum()) / (n * (n - 1)) - own).item()
    found = swap_loss(known.pair, [x])
    assert found.nats == pytest.approx(expected, abs=4 * found.standard_error)
    assert 0 < found.standard_error < 0.1 * expected
    assert found.num_data == n


def test_no_datum_keeps_its_own_latents():
    x = torch.tensor([[0.0], [3.0]])
    for seed in range(20):
        found = swap_loss(Pair(Decodes(), Reads(scale=1e-6)), [x], seed)
        assert found.nats == pytest.approx(4.5, rel=1e-4)
    assert swap_loss(Pair(Decodes(), Reads()), [x[:1]]) is None


def test_a_model_that_ignores_z_loses_exactly_nothing():
    found = swap_loss(Pair(Decodes(reads=0.0), Reads()), [torch.randn(300, 2)])
    assert (found.nats, found.standard_error) == (0.0, 0.0)


def test_conditions_stay_when_latents_are_swapped():
    """z = x - y and x ~ N(z + y, 1): datum 0 is decoded from z_1 and y_0."""

    class Model(nn.Module):
        def forward(self, x, y):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(z + y, 1.0).to_event(1), obs=x)

    class Guide(nn.Module):
        def forward(self, x, y):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.Normal(x - y, 1e-6).to_event(1))

    x, y = torch.tensor([[1.0], [5.0]]), torch.tensor([[0.0], [2.0]])  # z = 1, 3
    assert swap_loss(Pair(Model(), Guide(), ("x", "y")), [x, y]).nats == pytest.approx(2.0, rel=1e-4)


def test_moments_of_the_aggregate_posterior_follow_from_those_of_each():
    x = torch.randn(400, 2) * torch.tensor([1.0, 0.0]) + torch.tensor([0.5, 2.0])
    found = aggregate(Pair(Decodes(), Reads(scale=0.5)), [x])["z"]
    deviation = (x.var(0, correction=0) + 0.25).sqrt()
    assert found.mean == pytest.approx(x.mean(0).tolist(), rel=1e-5)
    assert found.deviation == pytest.approx(deviation.tolist(), rel=1e-5)
    assert (found.prior_mean, found.prior_deviation) == ([0, 0], pytest.approx([1, 1]))
    kl = torch.distributions.kl_divergence(dist.Normal(x.mean(0), deviation), dist.Normal(0.0, 1.0))
    assert found.gap == pytest.approx(kl.tolist(), rel=1e-4)
    assert worst({"z": found}) == ("z[1] (mean 2.00, deviation 0.50; prior 0.00, 1.00)",)


def test_moments_of_sites_that_depend_on_one_another():
    """The prior of z1 has variance 2; q(z1) has 1 + 0.09, q(z2) 1 + 0.09 + 0.25."""
    found = aggregate(Pair(TopDown(), BottomUp()), [torch.randn(3000, 1)])
    assert found["z1"].prior_deviation == pytest.approx([math.sqrt(2)], rel=0.05)
    assert found["z2"].prior_deviation == pytest.approx([1.0], rel=1e-6)
    assert found["z1"].deviation == pytest.approx([math.sqrt(1.09)], rel=0.05)
    assert found["z2"].deviation == pytest.approx([math.sqrt(1.34)], rel=0.05)


def test_the_noise_of_drawn_means_is_no_deviation():
    """Without moments in closed form the mean of each datum comes from 64 draws; together they vary by 1, not 65/64."""

    class NoMoments(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                normal = dist.Normal(torch.zeros_like(x), torch.ones_like(x)).to_event(1)
                shift = dist.transforms.AffineTransform(0.0, 1.0, event_dim=1)
                pyro.sample("z", dist.TransformedDistribution(normal, [shift]))

    found = aggregate(Pair(Decodes(), NoMoments()), [torch.randn(5000, 2)])["z"]
    assert found.deviation == pytest.approx([1.0, 1.0], abs=0.004)


def test_the_gap_is_to_the_prior_that_there_is():
    class Model(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(torch.ones_like(x), 2.0).to_event(1))
                pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    x = torch.randn(400, 2) + 3
    found = aggregate(Pair(Model(), Reads()), [x])["z"]
    q = torch.distributions.Normal(x.mean(0), (x.var(0, correction=0) + 0.09).sqrt())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(1.0, 2.0))
    assert found.gap == pytest.approx(kl.tolist(), rel=1e-4)


def test_moments_of_a_conditional_prior_are_over_the_conditions():
    tried = case("cvae")
    pair = tried.pair().eval()
    found = aggregate(pair, tried.batch)["z"]
    with torch.no_grad():
        prior = sites(draw(pair.model, tried.batch))["z"]["fn"].base_dist
    mixture = prior.loc.var(0, correction=0) + prior.scale.square().mean(0)
    assert found.prior_mean == pytest.approx(prior.loc.mean(0).tolist(), abs=1e-5)
    assert found.prior_deviation == pytest.approx(mixture.sqrt().tolist(), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "depends"), [("vae", False), ("cvae", True), ("cvae-standard-prior", False), ("textvae", False)]
)
def test_a_conditional_prior_has_no_marginal_kl(name, depends):
    tried = case(name)
    pair = tried.pair()
    assert prior_depends_on_data(pair, tried.batch) == depends
    used = usage(pair, tried.batch, 1.0)
    assert (used.marginal_kl is None) == (used.marginal_kl_lower is None) == depends
    assert not prior_depends_on_data(Pair(TopDown(), BottomUp()), [torch.randn(9, 2)])


def test_a_pair_with_a_global_site_is_refused(global_pair):
    x = [torch.randn(5, 2)]
    for score in (mutual_information, swap_loss, aggregate):
        with pytest.raises(PyrovaeError, match=r"sites \['b'\] stand outside plate 'data'"):
            score(global_pair, x)
    with pytest.raises(PyrovaeError, match="no data is not defined"):
        mutual_information(Pair(Decodes(), Reads()), [torch.randn(0, 2)])


@pytest.mark.parametrize(
    ("name", "guide"), [("vae", "full"), ("cvae", "iaf"), ("textvae", "diagonal"), ("textvae-no-z", "diagonal")]
)
def test_the_latents_are_looked_at_without_a_trace_left(name, guide):
    tried = case(name, guide)
    pair = tried.pair().train()
    state, weights = torch.get_rng_state(), [parameter.detach().clone() for parameter in pair.parameters()]
    first, again, other = (usage(pair, tried.batch, 1.0, seed).summary() for seed in (0, 0, 1))
    assert first == again
    assert torch.equal(state, torch.get_rng_state())
    assert all(part.training for part in pair.modules())
    assert all(torch.equal(a, b) for a, b in zip(weights, pair.parameters(), strict=True))
    assert (first == other) == (name == "textvae-no-z")


OPTIONS = {"beta": 1.0, "free_bits": 0.0, "kl_warmup": 0.0, "epochs": 20, "hidden": 9, "latent_dim": 20, "net": "mlp"}
HEALTHY = Findings(
    units=20, active=20, rate=9.0, swap=30.0, swap_error=0.5, information=4.0, cap=7.0, marginal_kl=(0.5, 1.0)
)


COLLAPSED = (
    "z is not used: the rate is 0.01 nats and swapping z between data costs 0.00 nats; try free_bits=0.1, "
    "kl_warmup=10, a weaker decoder (hidden)."
)


def said(options=OPTIONS, **changed):
    return diagnosis(dataclasses.replace(HEALTHY, **changed), options)


def test_a_healthy_pair_takes_one_sentence():
    (found,) = said()
    assert found == (
        "z is used: 20 of 20 units are active, the rate is 9.00 nats and swapping z between data costs 30.00 nats, "
        "the aggregate posterior is within 1.00 nats of the prior."
    )


def test_a_collapsed_pair_is_told_what_to_try():
    found = said(active=0, rate=0.01, swap=-0.001, information=0.0)
    assert found == [COLLAPSED]


def test_only_options_that_there_are_and_that_would_change_something_are_advised():
    collapsed = {"active": 0, "rate": 0.0, "swap": 0.0}
    text = {"beta": 4.0, "free_bits": 0.2, "kl_warmup": 10.0, "word_dropout": 0.25, "hidden": 9}
    (found,) = said(text, **collapsed)
    for words in ("beta=1 (it was 4)", "free_bits=0.4", "kl_warmup=20", "word_dropout=0.5", "(hidden)"):
        assert words in found
    assert "(channels)" in said(OPTIONS | {"net": "conv", "channels": (3,)}, **collapsed)[0]
    assert "(widths)" in said({"widths": (3,)}, **collapsed)[0]
    assert "objective='elbo'" in said(OPTIONS | {"objective": "iwae"}, **collapsed)[0]
    assert "kl_warmup" not in said(OPTIONS | {"epochs": 5}, **collapsed)[0]  # it would not end
    with dashed():
        (generic,) = said(None, **collapsed)
    assert "--" not in generic and "free bits" in generic


def test_part_of_the_units_is_no_fault_and_a_sleeping_site_is_one():
    assert "7 of 20 units are active" in said(active=7)[0]
    assert "the other 13 carry nothing, which is no fault where z (latent_dim) is wider" in said(active=7)[0]
    assert "the other one carries nothing" in said(active=19)[0]
    assert "z2 without an active unit: to use it, try free_bits=0.1" in said(active=7, asleep=("z2",))[0]
    assert "no posterior mean moves" in said(active=0)[0]


def test_a_guide_that_speaks_to_nobody():
    (found,) = said(swap=0.02)
    assert found.startswith("The model does not read z: the guide spends 9.00 nats on it")
    (unlike,) = said(swap=0.02, information=0.04)
    assert "of a rate of 9.00 nats, 0.04 nats tell the data apart" in unlike
    assert "beta" not in said(swap=0.02, gap=9.0)[1]  # more weight would not make it read
    assert said(swap=0.9, swap_error=0.5)[0].startswith("The model does not read z")
    assert said(swap=1.1, swap_error=0.5)[0].startswith("z is used")
    assert said(rate=0.01, swap=5.0, conditional=True)[0].startswith("z says nothing beyond the condition")


def test_an_aggregate_posterior_far_from_the_prior():
    found = said(marginal_kl=(4.0, 6.0), worst=("z[3] (mean 1.20, deviation 0.40; prior 0.00, 1.00)",))
    assert "between 4.00 and 6.00 nats, most in z[3] (mean 1.20" in found[1]
    assert "(epochs), or give the KL more weight (beta=2)" in found[1]
    assert "about 9.00 nats" in said(marginal_kl=None, gap=9.0)[1]
    assert "(beta" not in said(OPTIONS | {"objective": "iwae"}, gap=9.0)[1]
    assert "(beta=1)" in said(OPTIONS | {"beta": 0.1}, gap=9.0)[1]
    assert len(said(marginal_kl=(0.0, 20.0))) == 1  # what only the upper bound says may be the cap alone


def test_an_estimate_at_its_cap_says_so():
    found = said(information=6.5)
    assert "at least 6.50 nats: the estimate is near its cap, log N = 7.00" in found[1]
    assert len(said(information=5.9)) == 1
    assert len(said(information=0.2, cap=math.log(3))) == len(said(information=0.2, cap=0.0)) - 1 == 1
    assert len(said(information=6.5, marginal_kl=(4.0, 6.0))) == 3


@pytest.mark.parametrize("model", [*SMALL, None])
def test_every_option_that_is_named_is_one(model):
    """The same figures for each model: what is advised is an option of `pyrovae fit --model MODEL`."""
    options = None
    known: set[str] = set()
    if model is not None:
        variant = registry.variant(model)
        options = variant.training().model_dump() | variant.config().model_dump()
        known = {f"--{name.replace('_', '-')}" for name in options}
    figures = [{"rate": 0.0, "swap": 0.0}, {"swap": 0.0}, {"gap": 9.0}, {"active": 3}, {"information": 6.9}]
    with dashed():
        text = " ".join(sentence for changed in figures for sentence in said(options, **changed))
    named = set(re.findall(r"--[a-z-]+", text))
    assert named <= known
    assert len(named) > 4 or model is None


def test_figures_are_read_from_what_was_found():
    """z1 follows x, z2 is drawn from its prior whatever x is: a site that sleeps."""

    class Guide(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z1", dist.Normal(x + 3, 0.3).to_event(1))
                pyro.sample("z2", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))

    pair, x = Pair(TopDown(), Guide()), [torch.randn(300, 2)]
    found = diagnose(pair, x)
    used = usage(pair, x, sum(found.rate.values()))
    figures = Findings.of(found, used, 300)
    assert (figures.units, figures.active, figures.asleep) == (4, 2, ("z2",))
    assert figures.rate == pytest.approx(sum(found.rate.values()))
    assert figures.information == used.information.nats
    assert figures.marginal_kl == (used.marginal_kl_lower, used.marginal_kl)
    assert figures.gap == sum(used.aggregate["z2"].gap)  # the prior of z1 is a normal around z2, so it bounds nothing
    assert figures.worst == worst(used.aggregate)
    assert figures.worst[0].startswith("z1[")
    assert "z2 without an active unit" in diagnosis(figures)[0]
    assert Findings.of(found, dataclasses.replace(used, information=None), 300) == Findings(units=0, data=300)


def test_moments_bound_nothing_where_the_prior_is_a_mixture():
    """q(z) is one of two equal components, so KL(q(z) || p(z)) = log 2, and normals of the moments are 1.6 nats apart;
    of the normal prior N(0, 26) it is these 1.6 nats."""

    class Mixed(nn.Module):
        def prior(self, x):
            two = dist.Normal(torch.tensor([-5.0, 5.0]), 1.0)
            return dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), two).expand([len(x), 1]).to_event(1)

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", self.prior(x))
                pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    class Wide(Mixed):
        def prior(self, x):
            return dist.Normal(torch.zeros_like(x), math.sqrt(26)).to_event(1)

    class Guide(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.Normal(0.8 * x + 1, 0.6).to_event(1))  # over x ~ N(5, 1): N(5, 1)

    x = [dist.Normal(5.0, 1.0).icdf((torch.arange(4000) + 0.5) / 4000).unsqueeze(1)]  # no noise that z has, too
    gap = math.log(26) / 2
    for model, counted in ((Mixed(), 0.0), (Wide(), gap)):
        pair = Pair(model, Guide())
        found = diagnose(pair, x)
        used = usage(pair, x, sum(found.rate.values()))
        assert sum(used.aggregate["z"].gap) == pytest.approx(gap, abs=0.1)
        figures = Findings.of(found, used, 4000)
        assert figures.gap == pytest.approx(counted, abs=0.1)
        assert figures.marginal_kl[1] == pytest.approx(counted or math.log(2), abs=0.1)


def test_figures_that_are_none():
    assert diagnosis(Findings(units=0)) == ["This pair has no latent site, so there is no z to be used."]
    assert "rate is nan nats" in said(rate=math.nan)[0]
    assert said(rate=0.0, swap=None, active=0)[0].startswith("z is not used: the rate is 0.00 nats; try")


def test_worst_dimensions_are_the_worst_and_few():
    gap = [0.1, 2.0, 0.6, 3.0, 0.7, math.nan]
    zero = [0.0] * len(gap)
    found = worst({"z": Aggregate(zero, zero, zero, zero, gap, True)})
    assert [text[:4] for text in found] == ["z[3]", "z[1]", "z[4]"]


@pytest.mark.parametrize(("model", "kind"), [("vae", "images"), ("textvae", "text")])
def test_a_run_that_has_collapsed_is_told_so(model, kind, tmp_path):
    data = small(kind)[1]["x"].repeat(20, 1, 1, 1) if kind == "images" else tmp_path / "sentences.txt"
    if kind == "text":
        data.write_text("the cat sat .\na dog ran\nthe mat\n" * 70)
    quick = {"epochs": 1, "score_samples": 2, "device": "cpu", "show": False}
    run = pyrovae.fit(model, data=data, **SMALL[model] | quick)
    with torch.no_grad():
        for parameter in run.pair.guide.q.parameters():
            parameter.zero_()  # softplus starts at a scale of 1: the guide is the prior
    scores = run.evaluate(samples=2)
    assert scores["latents"]["information"]["nats"] == pytest.approx(0, abs=1e-6)
    assert scores["latents"]["marginal_kl"] == pytest.approx(0, abs=1e-6)
    assert scores["active_units"] == 0
    (found,) = scores["diagnosis"]
    assert "rate is 0.00 nats" in found
    assert "free_bits=0.1" in found
    assert ("word_dropout=0.5" in found) == (model == "textvae")


@pytest.mark.parametrize("one_hot", [False, True])
def test_a_class_is_no_unit_and_is_said_as_a_class(one_hot):
    """Three of four classes are the most likely one of some datum; z has one active dimension of two."""
    kind = dist.OneHotCategorical if one_hot else dist.Categorical
    choice = torch.tensor([[9.0, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 8]])

    class Model(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                y = pyro.sample("y", kind(logits=x.new_zeros(4)))
                z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
                far = y @ torch.arange(4.0) if one_hot else y
                pyro.sample("x", dist.Normal(z + 5.0 * far.unsqueeze(-1), 0.1).to_event(1), obs=x)

    class Guide(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                nearest = (x[:, 0] / 5).round().clamp(0, 2).long()
                pyro.sample("y", kind(logits=choice[nearest]))
                pyro.sample(
                    "z", dist.Normal((x - 5.0 * nearest.unsqueeze(-1)) * torch.tensor([1.0, 0.0]), 0.3).to_event(1)
                )

    x = torch.randn(60, 2) * 0.5 + 5.0 * (torch.arange(60) % 3).unsqueeze(-1)
    found = diagnose(Pair(Model(), Guide()), [x])
    assert (found.active_units, found.units) == ({"z": 1}, {"z": 2})
    assert (found.classes_used, found.classes) == ({"y": 3}, {"y": 4})
    assert found.rate["y"] == pytest.approx(math.log(4), abs=0.5)
    figures = Findings.of(found, usage(Pair(Model(), Guide()), [x], sum(found.rate.values())), 60)
    assert "z is used: 1 of 2 units are active, 3 of 4 classes of y are used, the rate" in diagnosis(figures)[0]


def test_a_pair_of_classes_alone_has_a_latent():
    (found,) = diagnosis(dataclasses.replace(HEALTHY, units=0, active=0, classes=(("y", 2, 3),)))
    assert found.startswith("z is used: 2 of 3 classes of y are used, the rate is 9.00 nats")


def test_few_data_cannot_be_diagnosed():
    (found,) = diagnosis(Findings(units=3, active=0, rate=0.0, data=19))
    assert found == "19 data are too few to say how z is used: score 20 or more."
