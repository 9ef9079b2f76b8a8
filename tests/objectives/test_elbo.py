"""The ELBO against Pyro's and against closed forms; what it refuses; what scoring leaves alone."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case, linear
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import nn
from torch.distributions import AffineTransform

from pyrovae import ELBO, Pair, PyrovaeError
from pyrovae.evaluation import diagnose, elbo
from pyrovae.objectives.divergence import divergence
from pyrovae.objectives.elbo import require_trainable
from pyrovae.objectives.terms import closed_form, rate, rate_by_dim
from pyrovae.pairs.traces import draw, log_weights, sites, traces
from pyrovae.runtime.seeding import seeded
from pyrovae.svi import Optimizer, Step


def gradients(pair, value):
    return torch.autograd.grad(value, list(pair.parameters()), allow_unused=True, materialize_grads=True)


def pyro_loss(pair, batch, K=None, kind=Trace_ELBO):
    """Of Pyro, on the noise of seed 3."""
    torch.manual_seed(3)
    parts = {"num_particles": K, "vectorize_particles": True, "max_plate_nesting": 1} if K else {}
    return kind(**parts).differentiable_loss(pair.model, pair.guide, *batch)


def our_terms(pair, batch, K=None, free_bits=0.0, free_nats=0.0, **weights):
    """Of ours, on the noise of seed 3."""
    torch.manual_seed(3)
    return ELBO(pair, K, free_bits, free_nats)(*batch, **weights)


@pytest.mark.parametrize("K", [None, 1, 4])
@pytest.mark.parametrize("name", ["vae-conv", "cvae-quadrants", "textvae"])
def test_value_and_gradient_are_those_of_trace_elbo(name, guide, K):
    tried = case(name, guide)
    pair = tried.pair().train()
    ours, theirs = our_terms(pair, tried.batch, K), pyro_loss(pair, tried.batch, K)
    torch.testing.assert_close(ours.loss, theirs, rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.elbo, -theirs.detach(), rtol=1e-5, atol=0)
    for a, b in zip(gradients(pair, ours.loss), gradients(pair, theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("K", [None, 1, 4])
@pytest.mark.parametrize("name", ["vae", "cvae", "textvae"])  # cvae: p(z | y) is learned
def test_value_and_gradient_with_closed_kl_are_those_of_trace_mean_field_elbo(name, K):
    tried = case(name)
    pair = tried.pair().eval()
    torch.manual_seed(3)
    ours = ELBO(pair, K, kl="analytic")(*tried.batch)
    theirs = pyro_loss(pair, tried.batch, K, TraceMeanField_ELBO)
    torch.testing.assert_close(ours.loss, theirs, rtol=1e-5, atol=0)
    for a, b in zip(gradients(pair, ours.loss), gradients(pair, theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert not torch.equal(ours.rate, our_terms(pair, tried.batch, K).rate)


def test_expectation_is_log_p_minus_the_kl_to_the_posterior():
    wide = linear(wider=1.5)
    with torch.no_grad():
        terms = ELBO(wide.pair, particles=20000)(wide.x)
    assert terms.elbo.item() / 20 == pytest.approx(wide.log_p.mean().item() - wide.kl, abs=0.01)
    assert (terms.elbo + terms.rate + terms.distortion).item() == pytest.approx(0, abs=1e-9)


def test_closed_rate_is_the_kl_divergence():
    tried = case("vae")
    pair = tried.pair().eval()
    q = sites(draw(pair.guide, tried.batch))["z"]["fn"].base_dist
    loc, scale = q.loc.detach(), q.scale.detach()
    by_dim = (0.5 * (loc**2 + scale**2 - 1) - scale.log()).mean(0)
    found = diagnose(pair, tried.batch)
    assert found.rate["z"] == pytest.approx(by_dim.sum().item(), rel=1e-5)
    assert found.rate_by_dim["z"] == pytest.approx(by_dim.tolist(), rel=1e-4)
    assert found.units == {"z": 3}
    varies = loc.var(0, correction=0)
    assert found.active_units == {"z": int((varies > 0.01).sum())}
    assert found.active_units["z"] > 0
    assert diagnose(case("vae", "full").pair(), tried.batch).rate_by_dim["z"] is None


def test_active_units_are_dims_whose_mean_varies():
    class Guide(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("z", dist.Normal(x * torch.tensor([1.0, 0.05, 1.0]), 0.5).to_event(1))

    class Model(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(x.new_zeros(3), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)

    found = diagnose(Pair(Model(), Guide()), [torch.randn(500, 3)])
    assert found.active_units == {"z": 2}  # variance 0.0025 is under the threshold of 0.01


class TopDown(nn.Module):
    """z2 ~ N(0, I), z1 ~ N(z2, I), x ~ N(z1, I)."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z2 = pyro.sample("z2", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            z1 = pyro.sample("z1", dist.Normal(z2, 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z1, 1.0).to_event(1), obs=x)


class BottomUp(nn.Module):
    """z1 ~ N(reads * x, I), z2 ~ N(z1, I / 4)."""

    def __init__(self, reads=1.0):
        super().__init__()
        self.reads = reads

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", dist.Normal(self.reads * x, 1.0).to_event(1))
            pyro.sample("z2", dist.Normal(z1, 0.5).to_event(1))


def test_order_rule_of_closed_forms():
    """Bottom-up q of a top-down p: the KL of z1 given z2 is no number of one draw of z2."""
    assert closed_form(*traces(Pair(TopDown(), BottomUp()), [torch.randn(3, 2)])) == {"z2"}
    assert closed_form(*traces(linear().pair, [linear().x])) == {"z"}


def test_a_closed_kl_of_gaussians_is_the_integral_of_log_q_minus_log_p():
    grid = torch.linspace(-12, 12, 481, dtype=torch.float64)
    z = torch.cartesian_prod(grid, grid)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    p = dist.Normal(draw(2), draw(2).exp()).to_event(1)
    tril = torch.tensor([[0.9, 0.0], [-0.6, 0.5]], dtype=torch.float64)
    for q in (
        dist.MultivariateNormal(draw(2), scale_tril=tril),
        dist.LowRankMultivariateNormal(draw(2), draw(2, 1), draw(2).exp()),
        dist.Normal(draw(2), draw(2).exp()).to_event(1),
    ):
        log_q = q.log_prob(z)
        integral = (log_q.exp() * (log_q - p.log_prob(z))).sum() * (grid[1] - grid[0]) ** 2
        assert divergence(q, p).item() == pytest.approx(integral.item(), rel=1e-6)
    flow = dist.TransformedDistribution(dist.Normal(draw(2), 1.0).to_event(1), [AffineTransform(1.0, 2.0)])
    assert divergence(flow, p) is None


def test_a_closed_kl_has_the_gradient_of_the_sampled_one_in_the_mean():
    wide = linear(wider=1.3, n=4)
    pair, found = wide.pair, {}
    for kl in ("sampled", "analytic"):
        draws = [gradients(pair, ELBO(pair, 20, kl=kl)(wide.x).loss) for _ in range(200)]
        found[kl] = [torch.stack(each) for each in zip(*draws, strict=True)]
    for (name, _), first, second in zip(pair.named_parameters(), *found.values(), strict=True):
        if name.endswith("tril"):
            first, second = first.tril(), second.tril()  # what stands above is no part of the distribution
        error = ((first.var(0) + second.var(0)) / len(first)).sqrt()
        assert ((first.mean(0) - second.mean(0)).abs() <= 4.5 * error + 1e-9).all(), name


def test_the_kl_of_a_bottom_up_guide_is_closed_where_the_order_allows_it():
    """TraceMeanField_ELBO takes both in closed form, given one draw of z2, which is another number."""
    x, pair = torch.randn(20000, 2), Pair(TopDown(), BottomUp())
    torch.manual_seed(1)
    found = ELBO(pair, kl="analytic")(x).rate.item() / len(x)
    z2 = (0.5 * (x**2 + 1 + 0.25 - 1) - math.log(0.5)).mean(0).sum().item()  # over z1 | x, which z2 | z1 reads
    assert found == pytest.approx(z2 + 2 * -0.375, abs=0.05)
    with pytest.warns(UserWarning, match="mean field restriction"):
        theirs = pyro_loss(pair, [x], kind=TraceMeanField_ELBO)
    distortion = our_terms(pair, [x]).distortion
    assert abs((theirs - distortion).item() / len(x) - found) > 1


def test_rates_of_a_bottom_up_guide_are_those_of_many_draws():
    """E[log q(z1) - log p(z1 | z2)] = (0.5^2 - 1) / 2 a dimension; a KL given one draw of z2 would be 0.625."""
    x = torch.randn(20000, 2)
    pair = Pair(TopDown(), BottomUp())
    found = diagnose(pair, [x], seed=1)  # with seed 0 the noise would be x again
    assert found.rate["z1"] == pytest.approx(2 * -0.375, abs=0.05)
    assert found.rate_by_dim["z1"] == pytest.approx([-0.375] * 2, abs=0.03)
    z2 = (0.5 * (x**2 + 1 + 0.25 - 1) - math.log(0.5)).mean(0)
    assert found.rate["z2"] == pytest.approx(z2.sum().item(), abs=0.05)
    p, q = traces(pair, [x], K=5)
    many = sum((q.nodes[name]["log_prob"] - p.nodes[name]["log_prob"]).mean().item() for name in ("z1", "z2"))
    assert sum(found.rate.values()) == pytest.approx(many, abs=0.05)


class NoMean(nn.Module):
    """Standard normal z without a mean in closed form, moved by `reads` * x."""

    def __init__(self, reads):
        super().__init__()
        self.reads = torch.tensor(reads)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            normal = dist.Normal(torch.zeros_like(x), torch.ones_like(x)).to_event(1)
            shift = AffineTransform(self.reads * x, torch.ones_like(x), event_dim=1)
            pyro.sample("z", dist.TransformedDistribution(normal, [shift]))


class Standard(nn.Module):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(torch.zeros_like(x), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)


def test_the_noise_of_a_drawn_mean_makes_no_unit_active():
    """64 draws leave a variance of 1/64 = 0.016, above the threshold."""
    x = [torch.randn(500, 3)]
    assert diagnose(Pair(Standard(), NoMean([0.0, 0.0, 0.0])), x).active_units == {"z": 0}
    assert diagnose(Pair(Standard(), NoMean([1.0, 0.0, 0.5])), x).active_units == {"z": 2}


def test_the_noise_of_a_latent_before_makes_no_unit_active():
    x = [torch.randn(500, 2)]
    assert diagnose(Pair(TopDown(), BottomUp(reads=0.0)), x).active_units == {"z1": 0, "z2": 0}
    assert diagnose(Pair(TopDown(), BottomUp(reads=1.0)), x).active_units == {"z1": 2, "z2": 2}


def test_kl_weight_weighs_the_loss_and_never_what_is_printed():
    tried = case("vae")
    pair = tried.pair()
    whole, half = our_terms(pair, tried.batch), our_terms(pair, tried.batch, kl_weight=torch.tensor(0.5))
    assert torch.equal(whole.elbo, half.elbo)
    torch.testing.assert_close(whole.loss, whole.distortion + whole.rate)
    torch.testing.assert_close(half.loss, half.distortion + 0.5 * half.rate)


def test_free_bits_count_each_dimension_or_the_site():
    for spec, K in (("diagonal", None), ("diagonal", 4), ("full", None), ("full", 4)):
        tried = case("vae", spec)
        pair, bits, B = tried.pair(), 0.2 if spec == "diagonal" else 1.0, len(tried.batch[0])
        torch.manual_seed(3)
        p, q = traces(pair, tried.batch, K)
        z, prior = q.nodes["z"], p.nodes["z"]
        if spec == "diagonal":
            by_dim = z["fn"].base_dist.log_prob(z["value"]) - prior["fn"].base_dist.log_prob(z["value"])
            means = by_dim.reshape(-1, 3).mean(0)
            paid = B * means.clamp_min(bits).sum()
            assert (means < bits).any()
        else:
            assert rate_by_dim(z, prior, closed=False) is None
            paid = B * (z["log_prob"] - prior["log_prob"]).mean().clamp_min(3 * bits)
        found = our_terms(pair, tried.batch, K, free_bits=bits)
        torch.testing.assert_close(found.loss, found.distortion + paid)
        plain = our_terms(pair, tried.batch, K)
        assert torch.equal(found.elbo, plain.elbo)
        assert found.loss > plain.loss
        many = our_terms(pair, tried.batch, K, free_bits=1000.0)
        torch.testing.assert_close(many.loss, many.distortion + B * 3 * 1000.0)


@pytest.mark.parametrize("K", [None, 4])
@pytest.mark.parametrize("spec", ["diagonal", "full", "iaf:steps=2:hidden=8"])
def test_free_nats_are_of_all_latents_together(spec, K):
    tried = case("vae", spec)
    pair, B = tried.pair(), len(tried.batch[0])
    plain = our_terms(pair, tried.batch, K)
    mean = plain.rate.item() / B
    for nats in (0.5 * mean, 2 * mean):
        found = our_terms(pair, tried.batch, K, free_nats=nats)
        assert found.loss.item() == pytest.approx(plain.distortion.item() + B * max(mean, nats), rel=1e-5)
        assert torch.equal(found.elbo, plain.elbo)
    paying = gradients(pair.guide, our_terms(pair, tried.batch, K, free_nats=0.5 * mean).loss)
    free = gradients(pair.guide, our_terms(pair, tried.batch, K, free_nats=2 * mean).loss)
    for a, b, c, d in zip(
        paying,
        gradients(pair.guide, our_terms(pair, tried.batch, K).loss),
        free,
        gradients(pair.guide, our_terms(pair, tried.batch, K, kl_weight=0.0).loss),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(c, d)  # a rate below the clamp pulls at nothing


def test_free_nats_and_bits_of_a_closed_kl():
    wide = linear(wider=0.9)
    q = wide.pair.guide
    loc = (wide.x - q.b) @ q.to_mean.T
    kl = 0.5 * (q.tril.square().sum() + loc.square().sum(-1) - 2) - q.tril.diagonal().log().sum()
    mean = kl.mean().item()
    for nats in (0.5 * mean, 2 * mean):
        torch.manual_seed(3)
        terms = ELBO(wide.pair, free_nats=nats, kl="analytic")(wide.x)
        assert (terms.loss - terms.distortion).item() == pytest.approx(20 * max(mean, nats))
        torch.manual_seed(3)
        terms = ELBO(wide.pair, free_bits=nats / 2, kl="analytic")(wide.x)  # of a site with two dimensions
        assert (terms.loss - terms.distortion).item() == pytest.approx(20 * max(mean, nats))
    tried = case("vae")
    pair = tried.pair()
    fn = sites(draw(pair.guide, tried.batch))["z"]["fn"].base_dist
    by_dim = (0.5 * (fn.loc**2 + fn.scale**2 - 1) - fn.scale.log()).mean(0)
    bits = by_dim.median().item()
    terms = ELBO(pair, free_bits=bits, kl="analytic")(*tried.batch)
    paid = (terms.loss - terms.distortion).item() / len(tried.batch[0])
    assert paid == pytest.approx(by_dim.clamp_min(bits).sum().item(), rel=1e-4)
    assert paid > by_dim.sum().item() + 1e-4


def test_free_nats_are_of_the_latents_of_a_datum(global_pair):
    batch = [torch.randn(6, 2)]
    torch.manual_seed(3)
    p, q = traces(global_pair, batch)
    b, z = ((q.nodes[name]["log_prob"] - p.nodes[name]["log_prob"]).sum() for name in "bz")
    found = our_terms(global_pair, batch, free_nats=100.0, fraction=0.25)
    torch.testing.assert_close(found.loss, found.distortion + 0.25 * b + 6 * 100.0)
    torch.testing.assert_close(found.rate, 0.25 * b + z)
    require_trainable(global_pair, batch, free_nats=0.1)


def test_masks_and_scales_of_a_site_reach_its_rate():
    class Masked(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1), pyro.poutine.mask(mask=torch.arange(len(x)) < 2):
                pyro.sample("z", dist.Normal(x, 2.0).to_event(1))

    class Standard(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1), pyro.poutine.mask(mask=torch.arange(len(x)) < 2):
                pyro.sample("z", dist.Normal(torch.zeros_like(x), torch.ones_like(x)).to_event(1))

    p, q = traces(Pair(Standard(), Masked()), [torch.randn(5, 3)])
    for closed in (True, False):
        whole = rate(q.nodes["z"], p.nodes["z"], closed)
        by_dim = rate_by_dim(q.nodes["z"], p.nodes["z"], closed)
        assert by_dim.shape == (5, 3)
        torch.testing.assert_close(by_dim.sum(-1), whole)
        assert (whole[2:] == 0).all()
        assert (whole[:2] != 0).all()


@pytest.mark.parametrize("K", [None, 4])
def test_a_global_latent_weighs_its_fraction(global_pair, K):
    batch = [torch.randn(6, 2)]
    whole = our_terms(global_pair, batch, K)
    theirs = pyro_loss(global_pair, batch, K)
    torch.testing.assert_close(whole.loss, theirs)
    for a, b in zip(gradients(global_pair, whole.loss), gradients(global_pair, theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    torch.manual_seed(3)
    p, q = traces(global_pair, batch, K)
    shared = (q.nodes["b"]["log_prob"] - p.nodes["b"]["log_prob"]).mean()
    quarter = our_terms(global_pair, batch, K, fraction=0.25)
    torch.testing.assert_close(whole.loss - quarter.loss, 0.75 * shared)
    torch.testing.assert_close(whole.elbo - quarter.elbo, -0.75 * shared.detach())


def test_held_out_elbo_of_a_global_latent_pays_each_piece_its_share(global_pair):
    x = torch.randn(12, 2)
    with torch.no_grad():
        global_pair.guide.b.fill_(3.0)
    found = elbo(global_pair, [x], batch_size=3, seed=1)
    with seeded(1), torch.no_grad():
        pieces = [ELBO(global_pair)(piece, fraction=0.25) for piece in x.split(3)]
    assert found["rate"] == pytest.approx(sum(piece.rate.item() for piece in pieces) / 12, rel=1e-5)
    assert found["elbo"] == pytest.approx(sum(piece.elbo.item() for piece in pieces) / 12, rel=1e-5)


class WithFactor(nn.Module):
    """A guide with a training term of 2 nats a datum, that depends on its parameter."""

    def __init__(self, guide):
        super().__init__()
        self.guide = guide
        self.extra = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.guide.q(self.guide.encoder(x)))
            pyro.factor("extra", -self.extra.expand(len(x)), has_rsample=True)


def test_a_factor_in_the_guide_is_trained_and_never_scored():
    tried = case("vae")
    plain = tried.pair()
    pair = Pair(plain.model, WithFactor(plain.guide))
    require_trainable(pair, tried.batch)
    with_factor, without = our_terms(pair, tried.batch), our_terms(plain, tried.batch)
    torch.testing.assert_close(with_factor.loss, pyro_loss(pair, tried.batch))
    torch.testing.assert_close(with_factor.loss, without.loss - 2.0 * len(tried.batch[0]))
    assert torch.equal(with_factor.elbo, without.elbo)
    (slope,) = torch.autograd.grad(with_factor.loss, pair.guide.extra)
    assert slope.item() == -len(tried.batch[0])
    z = {"z": torch.randn(len(tried.batch[0]), 3)}
    assert torch.equal(log_weights(pair, tried.batch, values=z), log_weights(plain, tried.batch, values=z))


def test_what_cannot_be_trained_is_refused_by_name(global_pair):
    class Coin(nn.Module):
        def __init__(self, observed):
            super().__init__()
            self.observed = observed

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                c = pyro.sample("c", dist.Bernoulli(0.5 + 0 * x).to_event(1))
                if self.observed:
                    pyro.sample("x", dist.Normal(c, 1.0).to_event(1), obs=x)

    class Observer(Coin):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample("c", dist.Normal(x, 1.0).to_event(1), obs=x)

    x = torch.randn(4, 2)
    with pytest.raises(PyrovaeError, match=r"\['c'\] are drawn without reparametrization"):
        require_trainable(Pair(Coin(True), Coin(False)), [x])
    with pytest.raises(PyrovaeError, match=r"\['c'\]"):
        require_trainable(Pair(Coin(True), Observer(False)), [x])
    with pytest.raises(PyrovaeError, match=r"free bits.*\['b'\]"):
        require_trainable(global_pair, [x], free_bits=0.1)
    require_trainable(global_pair, [x])


class Normed(nn.Module):
    """A guide with buffers that move in train mode, and noise of its own."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.net(x), 1.0).to_event(1))


@pytest.mark.parametrize("name", ["adam", "adamax"])
def test_scoring_leaves_weights_buffers_optimizer_and_generator_alone(name):
    tried = case("vae-normal-learned")
    pair = Pair(tried.pair().model, Normed()).train()
    pair.guide.net[2].eval()  # a mode of its own
    optimizer = Optimizer(list(pair.parameters()), name)
    step = Step(ELBO(pair), optimizer)
    one = torch.ones(())
    step(tried.batch, one / 100, one, one)
    weights = {n: t.clone() for n, t in pair.state_dict().items()}
    state = {n: t.clone() for n, t in optimizer.state().items()}
    assert len(state) == 3 * len(optimizer.parameters) + 3
    generator, modes = torch.get_rng_state(), [part.training for part in pair.modules()]
    first = elbo(pair, tried.batch, batch_size=5, seed=1)
    assert first == elbo(pair, tried.batch, batch_size=5, seed=1)
    assert first != elbo(pair, tried.batch, batch_size=5, seed=2)
    assert first["elbo"] == pytest.approx(-first["rate"] - first["distortion"], rel=1e-5)
    assert torch.equal(generator, torch.get_rng_state())
    assert modes == [part.training for part in pair.modules()]
    assert all(torch.equal(t, weights[n]) for n, t in pair.state_dict().items())
    assert all(torch.equal(t, state[n]) for n, t in optimizer.state().items())
    assert all(parameter.grad is None for parameter in pair.parameters())


def test_held_out_elbo_is_a_mean_over_data_however_they_are_cut():
    exact = linear(n=11)
    for size in (1, 4, 5, 11, 100):
        assert elbo(exact.pair, [exact.x], batch_size=size)["elbo"] == pytest.approx(exact.log_p.mean().item())
    with pytest.raises(PyrovaeError, match="no data"):
        elbo(exact.pair, [exact.x[:0]])


def test_svi_trains_two_pairs_in_one_process():
    tried = case("vae")
    for seed in (0, 1):
        pair = tried.pair(seed)
        before = {name: p.detach().clone() for name, p in pair.named_parameters()}
        svi = pyro.infer.SVI(pair.model, pair.guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
        for _ in range(3):
            svi.step(*tried.batch)
        assert [name for name, p in pair.named_parameters() if torch.equal(p, before[name])] == []
        assert list(pyro.get_param_store().keys()) == []
