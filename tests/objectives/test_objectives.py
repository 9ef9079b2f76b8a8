"""Objectives beside the plain ELBO against Pyro's and closed forms; gradients; lower precision; what they refuse."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case, linear
from pyro import poutine
from pyro.infer import RenyiELBO
from torch import nn
from torch.distributions import AffineTransform

import pyrovae
from pyrovae import ELBO, PyrovaeError, UsageError, registry
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load
from pyrovae.objectives.choose import objective
from pyrovae.objectives.dreg import DReG
from pyrovae.objectives.iwae import IWAE
from pyrovae.objectives.pathwise import require_repeatable
from pyrovae.objectives.renyi import Renyi
from pyrovae.objectives.stl import STL
from pyrovae.objectives.terms import require_closed_form
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import log_weights
from pyrovae.runs.recipe import Recipe
from pyrovae.runtime.seeding import seeded
from pyrovae.svi import Optimizer, Step
from pyrovae.svi.precision import Bfloat16Products, note, require_precision, tf32

ONE = torch.ones(())


def gradients(pair, loss):
    return torch.autograd.grad(loss, list(pair.parameters()), allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("name", ["vae", "cvae", "textvae"])
def test_value_and_gradient_of_iwae_are_those_of_renyi_elbo(name):
    tried = case(name)
    pair = tried.pair()
    torch.manual_seed(3)
    ours = IWAE(pair, 4)(*tried.batch)
    torch.manual_seed(3)
    renyi = RenyiELBO(alpha=0, num_particles=4, vectorize_particles=True, max_plate_nesting=1)
    with poutine.trace(param_only=True):  # as in SVI, so that there are parameters to take gradients of
        theirs = renyi.loss_and_grads(pair.model, pair.guide, *tried.batch)
    assert ours.loss.item() == pytest.approx(theirs, rel=1e-5)
    for a, parameter in zip(gradients(pair, ours.loss), pair.parameters(), strict=True):
        torch.testing.assert_close(a, parameter.grad, rtol=1e-4, atol=1e-5)
    torch.manual_seed(3)
    elbo = ELBO(pair, 4)(*tried.batch)
    torch.testing.assert_close(ours[1:], elbo[1:], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("alpha", [-30.0, -1.0, 0.5, 0.99, 3.0])
@pytest.mark.parametrize("name", ["vae", "cvae"])
def test_value_and_gradient_of_renyi_are_those_of_renyi_elbo(name, alpha):
    tried = case(name)
    pair = tried.pair()
    torch.manual_seed(3)
    ours = Renyi(pair, 4, alpha)(*tried.batch)
    torch.manual_seed(3)
    renyi = RenyiELBO(alpha=alpha, num_particles=4, vectorize_particles=True, max_plate_nesting=1)
    with poutine.trace(param_only=True):
        theirs = renyi.loss_and_grads(pair.model, pair.guide, *tried.batch)
    assert ours.loss.item() == pytest.approx(theirs, rel=1e-5)
    for a, parameter in zip(gradients(pair, ours.loss), pair.parameters(), strict=True):
        torch.testing.assert_close(a, parameter.grad, rtol=1e-3, atol=2e-4)


def test_renyi_of_order_zero_is_iwae_and_falls_with_alpha_from_the_largest_weight_to_the_smallest():
    wide = linear(wider=1.5)

    def bound(kind, *alpha):
        with seeded(0), torch.no_grad():
            return -kind(wide.pair, 6, *alpha)(wide.x).loss.item()

    assert bound(Renyi, 0.0) == pytest.approx(bound(IWAE))
    with seeded(0), torch.no_grad():
        weight = log_weights(wide.pair, [wide.x], 6)
    elbo = weight.mean(0).sum().item()
    assert bound(Renyi, 1 - 2e-3) == pytest.approx(elbo, abs=0.05)
    assert bound(Renyi, 1 + 2e-3) == pytest.approx(elbo, abs=0.05)
    found = [bound(Renyi, alpha) for alpha in (-1e6, -10.0, -1.0, 0.0, 0.5, 0.99, 1.01, 2.0, 10.0, 1e6)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(weight.amax(0).sum().item(), abs=1e-3)
    assert found[-1] == pytest.approx(weight.amin(0).sum().item(), abs=1e-3)


@pytest.mark.parametrize("alpha", [-1e6, -3.0, 0.998, 1.002, 1e6])
def test_renyi_of_an_extreme_order_is_finite_in_single_precision(alpha):
    tried = case("vae")
    pair = tried.pair()
    terms = Renyi(pair, 5, alpha)(*tried.batch)
    assert terms.loss.isfinite()
    found = gradients(pair, terms.loss)
    assert all(gradient.isfinite().all() for gradient in found)
    assert any(gradient.abs().sum() > 0 for gradient in found)


@pytest.mark.parametrize(("alpha", "wider"), [(0.5, 1.5), (2.0, 0.8), (-0.5, 1.5), (0.5, 0.8)])
def test_renyi_of_many_samples_is_the_closed_form_of_a_linear_pair(alpha, wider):
    """log p(x) + 1/(1 - alpha) log int N(z; m, S)^(1 - alpha) N(z; m, wider^2 S)^alpha dz, in two dimensions."""
    wide = linear(wider=wider)
    precision = (1 - alpha) + alpha / wider**2
    assert precision > 0
    log_integral = -alpha * 2 * math.log(wider) - math.log(precision)
    exact = wide.log_p.mean().item() + log_integral / (1 - alpha)
    with torch.no_grad():
        found = -Renyi(wide.pair, 100_000, alpha)(wide.x).loss.item() / 20
    assert found == pytest.approx(exact, abs=0.005)
    assert abs(log_integral / (1 - alpha)) > 0.04


@pytest.mark.parametrize("kind", [IWAE, DReG])
def test_the_bound_of_the_exact_posterior_is_log_p_and_that_of_another_rises_with_k(kind):
    exact, wide = linear(), linear(wider=1.5)
    assert kind(exact.pair, 7)(exact.x).loss.item() == pytest.approx(-exact.log_p.sum().item())
    found = [-kind(wide.pair, K)(wide.x).loss.item() / 20 for K in (1, 10, 1000)]
    assert found[0] < found[1] < found[2] < wide.log_p.mean().item() + 0.02
    assert found[2] == pytest.approx(wide.log_p.mean().item(), abs=0.02)


def test_dreg_has_the_gradient_of_iwae_with_less_noise_in_the_guide():
    wide, draws = linear(wider=1.3, n=4), {}
    for kind in (IWAE, DReG):
        with seeded(0):  # of 40 draws of each datum together
            x = wide.x.repeat(40, 1)
            draws[kind] = [gradients(wide.pair, kind(wide.pair, 8)(x).loss) for _ in range(60)]
    for i, (name, _) in enumerate(wide.pair.named_parameters()):
        first, second = (torch.stack([draw[i] for draw in draws[kind]]) for kind in (IWAE, DReG))
        if name.endswith("tril"):
            first, second = first.tril(), second.tril()  # what stands above is no part of the distribution
        error = ((first.var(0) + second.var(0)) / len(first)).sqrt()
        assert ((first.mean(0) - second.mean(0)).abs() <= 4.5 * error + 1e-9).all(), name
        if name.startswith("guide"):
            assert second.var(0).sum() < 0.5 * first.var(0).sum(), name


def test_dreg_has_no_noise_at_the_posterior():
    exact = linear()
    for (name, _), gradient in zip(
        exact.pair.named_parameters(), gradients(exact.pair, DReG(exact.pair, 5)(exact.x).loss), strict=True
    ):
        if name.startswith("guide"):
            assert gradient.abs().max() < 1e-9


class Chain(nn.Module):
    """z1 ~ N(0, I), z2 ~ N(z1, I), x ~ N(w * z2, I)."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.3, 0.7]))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            z2 = pyro.sample("z2", dist.Normal(z1, 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.w * z2, 1.0).to_event(1), obs=x)


class ChainGuide(nn.Module):
    """z1 ~ N(a * x, s1), z2 ~ N(b * x + c * z1, s2), and a training term of its own."""

    def __init__(self, penalty=1.0):
        super().__init__()
        self.penalty = penalty
        self.a, self.b, self.c = (nn.Parameter(torch.full((2,), value)) for value in (0.4, 0.3, 0.6))
        self.raw = nn.Parameter(torch.tensor([-0.3, 0.2]))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", dist.Normal(self.a * x, self.raw[0].exp()).to_event(1))
            pyro.sample("z2", dist.Normal(self.b * x + self.c * z1, self.raw[1].exp()).to_event(1))
            pyro.factor("extra", -self.penalty * self.a.square().sum().expand(len(x)), has_rsample=True)


def many_gradients(pair, kind, batch, draws):
    """(draws, numel) of each parameter, on noise of one seed; of 20 draws of each datum together."""
    batch = [tensor.repeat(20, 1) for tensor in batch]
    with seeded(0):
        found = [gradients(pair, kind(pair)(*batch).loss) for _ in range(draws)]
    return {
        name: torch.stack(each).tril() if name.endswith("tril") else torch.stack(each)
        for (name, _), each in zip(pair.named_parameters(), zip(*found, strict=True), strict=True)
    }


def require_same_mean(first, second, draws):
    for name in first:
        error = ((first[name].var(0) + second[name].var(0)) / draws).sqrt()
        assert ((first[name].mean(0) - second[name].mean(0)).abs() <= 4.5 * error + 1e-6).all(), name


@pytest.mark.parametrize("K", [None, 3])
@pytest.mark.parametrize(
    ("pair", "x"),
    [(linear(wider=1.3, n=4).pair, linear(n=4).x), (Pair(Chain(), ChainGuide()), torch.arange(6.0).view(3, 2) / 3)],
    ids=["linear", "chain"],
)
def test_stl_has_the_expected_gradient_of_the_elbo(pair, x, K):
    draws = 50
    first, second = (many_gradients(pair, lambda pair, kind=kind: kind(pair, K), [x], draws) for kind in (ELBO, STL))
    require_same_mean(first, second, draws)
    assert any((first[name] - second[name]).abs().max() > 1e-3 for name in first if name.startswith("guide"))
    for name in first:
        if name.startswith("model"):
            torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("K", [None, 5])
def test_stl_has_no_noise_at_the_posterior(K):
    exact = linear()
    for kind, quiet in ((STL, True), (ELBO, False)):
        found = gradients(exact.pair.guide, kind(exact.pair, K)(exact.x).loss)
        assert (max(gradient.abs().max() for gradient in found) < 1e-9) == quiet


@pytest.mark.parametrize("K", [None, 4])
@pytest.mark.parametrize("name", ["vae", "cvae", "textvae"])
def test_terms_of_stl_are_those_of_the_elbo(name, guide, K):
    tried = case(name, guide)
    pair = tried.pair().eval()
    options = {"kl_weight": torch.tensor(0.5), "fraction": torch.tensor(0.1)}
    found = []
    for kind in (ELBO, STL):
        torch.manual_seed(3)
        found.append(kind(pair, K, 0.3)(*tried.batch, **options))
        torch.manual_seed(3)
        found.append(kind(pair, K, free_nats=0.5)(*tried.batch, **options))
    torch.testing.assert_close(found[0], found[2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], found[3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("K", [None, 4])
def test_stl_of_a_global_latent_weighs_its_fraction(global_pair, K):
    found = []
    for kind in (ELBO, STL):
        torch.manual_seed(3)
        found.append(kind(global_pair, K)(torch.arange(12.0).view(6, 2), fraction=0.25))
    torch.testing.assert_close(*found)
    slope = torch.autograd.grad(found[1].loss, global_pair.guide.b)[0]
    assert slope.abs().sum() > 0


@pytest.mark.parametrize(
    "kind", [ELBO, STL, IWAE, DReG, lambda pair, K: Renyi(pair, K, 0.5)], ids=["elbo", "stl", "iwae", "dreg", "renyi"]
)
def test_the_factor_of_a_guide_trains_its_own_parameters(kind):
    x, found = torch.randn(5, 2), []
    for penalty in (0.0, 1.0):
        pair = Pair(Chain(), ChainGuide(penalty))
        with seeded(0):
            terms = kind(pair, 3)(x)
        found.append((terms, gradients(pair.guide, terms.loss)))
    (without, base), (terms, gradient) = found
    torch.testing.assert_close(terms.loss, without.loss - 5 * pair.guide.a.square().sum())
    torch.testing.assert_close(terms[1:], without[1:])
    torch.testing.assert_close(gradient[0], base[0] - 10 * pair.guide.a)
    torch.testing.assert_close(gradient[1:], base[1:])


class Batched(nn.Module):
    """A guide with running statistics, and with dropout where asked for."""

    def __init__(self, dropout):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.Linear(8, 3))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.net(x), 1.0).to_event(1))


@pytest.mark.parametrize("name", ["stl", "dreg"])
def test_a_guide_that_is_scored_by_a_second_run_has_no_noise_of_its_own(name):
    tried = case("vae-normal-learned")
    config = TrainConfig(objective=name, particles=4)
    noisy = Pair(tried.pair().model, Batched(0.5)).eval()
    before, state = {n: t.clone() for n, t in noisy.state_dict().items()}, torch.get_rng_state()
    with pytest.raises(PyrovaeError, match=r"objective='x' scores.*dropout.*\['z'\]"):
        require_repeatable(noisy, tried.batch, "objective='x'")
    assert all(torch.equal(t, before[n]) for n, t in noisy.state_dict().items())
    assert not any(part.training for part in noisy.modules())
    assert torch.equal(state, torch.get_rng_state())
    with pytest.raises(PyrovaeError, match=f"^objective='{name}' scores"):
        objective(noisy, tried.batch, config)
    quiet, elbo = (Pair(tried.pair().model, Batched(0.0)).train() for _ in range(2))
    elbo.load_state_dict(quiet.state_dict())
    objective(quiet, tried.batch, config)(*tried.batch)
    ELBO(elbo, 4)(*tried.batch)
    for n, t in quiet.state_dict().items():  # statistics move once a step
        torch.testing.assert_close(t, elbo.state_dict()[n])


OBJECTIVES = {
    "elbo": {"kl": "analytic"},
    "elbo-bits": {"free_bits": 0.3, "kl": "analytic"},
    "elbo-nats": {"free_nats": 0.3},
    "stl": {},
    "stl-nats": {"free_nats": 0.3},
    "iwae": {},
    "dreg": {},
    "renyi": {"alpha": 0.5},
    "renyi-low": {"alpha": -2.0},
}


@pytest.mark.parametrize(
    ("name", "guide"),
    [
        (name, guide)
        for name, own in OBJECTIVES.items()
        for guide in ("diagonal", "full", "iaf:steps=2:hidden=8")
        if not (guide.startswith("iaf") and "kl" in own)  # a flow has no closed KL
    ],
)
def test_objectives_are_lowered(name, guide):
    tried = case("vae", guide)
    pair = tried.pair()
    config = TrainConfig(objective=name.split("-")[0], particles=3, **OBJECTIVES[name])
    aim = objective(pair, tried.batch, config)
    pair.train()
    step = Step(aim, Optimizer(list(pair.parameters())))
    engine = step.lower([tuple(tensor.roll(i, 0) for tensor in tried.batch) for i in range(3)], calls=3000)
    assert (engine.tier, engine.reason) == ("traced", "")
    found = []
    for call in (step.engine.call, step.gradients):
        torch.manual_seed(0)
        found.append(call(tried.batch, ONE / 2, ONE))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["elbo", "stl", "dreg"])
def test_objectives_of_several_latents_are_lowered(name):
    pair, x = Pair(Chain(), ChainGuide()), torch.randn(6, 2)
    own = {"kl": "analytic"} if name == "elbo" else {}
    step = Step(
        objective(pair, [x], TrainConfig(objective=name, particles=3, **own)), Optimizer(list(pair.parameters()))
    )
    engine = step.lower([(x.roll(i, 0),) for i in range(3)], calls=3000)
    assert (engine.tier, engine.reason) == ("traced", "")
    found = []
    for call in (step.engine.call, step.gradients):
        torch.manual_seed(0)
        found.append(call((x,), ONE, ONE))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_a_fit_by_each_objective_reaches_higher_than_its_start():
    x = torch.bernoulli(torch.full((60, 16), 0.4))
    for name, own in {"iwae": {}, "dreg": {}, "stl": {}, "renyi": {"alpha": 0.5}, "elbo": {"kl": "analytic"}}.items():
        options = {"latent_dim": 2, "hidden": (6,), "score_samples": 50, "device": "cpu", "show": False, **own}
        run = pyrovae.fit("vae", data=x, objective=name, particles=5, epochs=20, batch_size=12, **options)
        assert run.metrics[-1]["valid_elbo"] > run.metrics[0]["valid_elbo"]
        assert run.recipe.training.objective == name


def test_a_run_from_before_these_options_is_read():
    recipe = Recipe.of(None, settings={"epochs": 3})
    values = recipe.to_json()
    for name in ("kl", "kl_cycles", "free_nats", "alpha"):
        del values["training"][name]
    assert Recipe.from_json(values, None) == recipe


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"objective": "iwae"}, "particles=2 or more"),
        ({"objective": "renyi", "alpha": 0.5}, "particles=2 or more"),
        ({"objective": "dreg", "particles": 5, "beta": 0.5}, "set beta to 1"),
        ({"objective": "iwae", "particles": 5, "kl_warmup": 3}, "set kl_warmup to 0"),
        ({"objective": "iwae", "particles": 5, "kl_cycles": 3}, "set kl_cycles to 1"),
        ({"objective": "iwae", "particles": 5, "free_bits": 0.1}, "set free_bits to 0"),
        ({"objective": "renyi", "alpha": 0.5, "particles": 5, "free_nats": 0.1}, "set free_nats to 0"),
        ({"objective": "dreg", "particles": 5, "kl": "analytic"}, "set kl to sampled"),
        ({"objective": "renyi", "particles": 5}, "give alpha, such as 0.5"),
        ({"objective": "renyi", "particles": 5, "alpha": 1.0}, "take objective='elbo'"),
        ({"alpha": 0.5}, "alpha is the order of objective='renyi', not of elbo"),
        ({"objective": "iwae", "particles": 5, "alpha": 0.0}, "not of iwae"),
        ({"objective": "stl", "kl": "analytic"}, "set kl to sampled, or take objective='elbo'"),
        ({"free_bits": 0.1, "free_nats": 3}, "set one of them to 0"),
        ({"kl_cycles": 4}, "give kl_warmup"),
        ({"kl_start": 0.1}, "give kl_warmup"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, says):
    tried = case("vae")
    with pytest.raises(UsageError, match=says) as told:
        objective(tried.pair(), tried.batch, TrainConfig(**options))
    assert "\n" not in str(told.value)


def test_a_pair_without_a_closed_kl_is_refused_before_training(monkeypatch):
    def train(*args):
        raise AssertionError("trained")

    monkeypatch.setattr("pyrovae.training.loop.Step", train)
    x, small = torch.bernoulli(torch.full((60, 16), 0.4)), {"latent_dim": 2, "hidden": (6,), "show": False}
    with pytest.raises(UsageError, match=r"for site 'z' \(flow of Normal against Normal\): take kl='sampled'"):
        pyrovae.fit("vae", data=x, guide="iaf:steps=1", kl="analytic", device="cpu", **small)

    class Upwards(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z2 = pyro.sample("z2", dist.Normal(x, 1.0).to_event(1))
                flow = [AffineTransform(torch.ones(2), 2.0, event_dim=1)]
                pyro.sample("z1", dist.TransformedDistribution(dist.Normal(z2, 1.0).to_event(1), flow))

    tried = Pair(Chain(), Upwards())
    with pytest.raises(UsageError, match=r"z1' \(flow of Normal against Normal\)"):
        objective(tried, [torch.randn(3, 2)], TrainConfig(kl="analytic"))
    with pytest.raises(UsageError, match=r"'z2' \(its prior may depend on \['z1'\], which the guide draws after it\)"):
        objective(tried, [torch.randn(3, 2)], TrainConfig(kl="analytic"))
    language = case("textvae-no-z")
    with pytest.raises(UsageError, match="no latent site, so no KL term"):
        objective(language.pair(), language.batch, TrainConfig(kl="analytic"))
    with pytest.raises(PyrovaeError, match="no score to leave out"):
        objective(language.pair(), language.batch, TrainConfig(objective="stl"))
    with pytest.raises(PyrovaeError, match="free nats"):
        objective(language.pair(), language.batch, TrainConfig(free_nats=1.0))
    state = torch.get_rng_state()
    require_closed_form(Pair(Chain(), ChainGuide()), [torch.ones(3, 2)])
    assert torch.equal(state, torch.get_rng_state())


def test_pairs_without_a_weight_a_datum_are_refused(global_pair):
    config = TrainConfig(objective="iwae", particles=5)
    with pytest.raises(PyrovaeError, match=r"bound of K samples.*\['b'\] stand outside"):
        objective(global_pair, [torch.randn(7, 2)], config)
    tried = case("textvae-no-z")
    with pytest.raises(PyrovaeError, match="no latent site"):
        objective(tried.pair(), tried.batch, config)


def test_products_are_taken_in_bfloat16_and_given_in_float32():
    a, b = torch.randn(50, 40), torch.randn(40, 30)
    exact = a @ b
    for product in (lambda: a @ b, lambda: torch.matmul(a, b), lambda: torch.nn.functional.linear(a, b.T)):
        with Bfloat16Products():
            found = product()
        assert found.dtype == torch.float32
        assert 1e-4 < (found - exact).norm() / exact.norm() < 1e-2
    with Bfloat16Products():
        assert torch.equal(torch.matmul(input=a, other=b), exact)  # by keywords: left in float32
        assert (a.double() @ b.double()).dtype == torch.float64


@pytest.mark.parametrize("guide", ["diagonal", "iaf:steps=2:hidden=8"])
@pytest.mark.parametrize("name", ["vae", "vae-conv", "cvae"])
def test_bfloat16_steps_are_close_to_exact_ones_and_are_lowered(name, guide):
    tried, found = case(name, guide), {}
    for precision in ("32", "bf16"):
        pair = tried.pair().train()
        step = Step(ELBO(pair), Optimizer(list(pair.parameters())), precision=precision)
        engine = step.lower([tuple(tensor.roll(i, 0) for tensor in tried.batch) for i in range(3)], calls=3000)
        assert (engine.tier, engine.reason) == ("traced", "")
        torch.manual_seed(0)
        found[precision] = step.engine.call(tried.batch, ONE, ONE)
    (a, guarded_a), (b, guarded_b) = found["32"], found["bf16"]
    assert a.elbo != b.elbo
    assert b.elbo.item() == pytest.approx(a.elbo.item(), rel=3e-3)
    ours, theirs = (torch.cat([g.flatten() for g in each.gradients]) for each in (guarded_b, guarded_a))
    assert all(g.dtype == torch.float32 for g in guarded_b.gradients)
    assert (ours - theirs).norm() < 0.03 * theirs.norm()


def test_precision_is_put_back_and_refused_where_there_is_none(monkeypatch):
    before = torch.get_float32_matmul_precision()
    with tf32("tf32"):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before
    with pytest.raises(UsageError, match="tf32' is of CUDA devices"):
        require_precision("tf32", torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert "no bfloat16 instructions" in note("bf16", torch.device("cpu"))
    assert note("32", torch.device("cpu")) is None
    data = load(torch.bernoulli(torch.full((60, 16), 0.4)), DataConfig())
    with pytest.raises(UsageError, match="tf32"):
        pyrovae.fit("vae", data=data, precision="tf32", device="cpu", show=False)


def test_a_factor_in_the_guide_is_in_the_loss_and_not_in_the_weights():
    class Extra(torch.nn.Module):
        def __init__(self, guide):
            super().__init__()
            self.guide = guide

        def forward(self, x):
            import pyro

            self.guide(x)
            with pyro.plate("more", len(x), dim=-1):
                pyro.factor("extra", -2 * x.new_ones(len(x)), has_rsample=True)

    exact = linear()
    pair = Pair(exact.pair.model, Extra(exact.pair.guide))
    found = IWAE(pair, 3)(exact.x)
    assert found.loss.item() == pytest.approx(-exact.log_p.sum().item() + 2 * 20 * -1)
    assert math.isclose(found.elbo.item(), exact.log_p.sum().item(), rel_tol=1e-9)


def test_a_warm_up_that_nobody_asked_for_is_no_contradiction():
    """textvae grows its KL weight by default, and a bound of K samples has none to grow."""
    tried = case("textvae")
    of_text = registry.variant("textvae").training
    assert of_text().kl_warmup > 0
    assert type(objective(tried.pair(), tried.batch, of_text(objective="iwae", particles=2))) is IWAE
    with pytest.raises(UsageError, match="set kl_warmup to 0"):
        objective(tried.pair(), tried.batch, of_text(objective="iwae", particles=2, kl_warmup=3))
