"""Bounds of K samples against Pyro's and closed forms; their gradients; lower precision; what they refuse."""

import math

import pytest
import torch
from conftest import case, linear
from pyro import poutine
from pyro.infer import RenyiELBO

import pyrovae
from pyrovae import ELBO, PyrovaeError, UsageError
from pyrovae.data import DataConfig, load
from pyrovae.options import TrainConfig
from pyrovae.pair import Pair
from pyrovae.seeding import seeded
from pyrovae.svi import IWAE, DReG, Optimizer, Step, objective
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
        with seeded(0):
            draws[kind] = [gradients(wide.pair, kind(wide.pair, 8)(wide.x).loss) for _ in range(2000)]
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


@pytest.mark.parametrize("kind", [IWAE, DReG])
@pytest.mark.parametrize("guide", ["diagonal", "iaf:steps=2:hidden=8"])
def test_bounds_are_lowered(kind, guide):
    tried = case("vae", guide)
    pair = tried.pair().train()
    step = Step(kind(pair, 3), Optimizer(list(pair.parameters())))
    engine = step.lower([tuple(tensor.roll(i, 0) for tensor in tried.batch) for i in range(3)], calls=3000)
    assert (engine.tier, engine.reason) == ("traced", "")
    found = []
    for call in (step.engine.call, step.gradients):
        torch.manual_seed(0)
        found.append(call(tried.batch, ONE, ONE))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_a_fit_by_a_bound_reaches_higher_than_its_start():
    x = torch.bernoulli(torch.full((60, 16), 0.4))
    for name in ("iwae", "dreg"):
        options = {"latent_dim": 2, "hidden": (6,), "score_samples": 50, "device": "cpu", "show": False}
        run = pyrovae.fit("vae", data=x, objective=name, particles=5, epochs=20, batch_size=12, **options)
        assert run.metrics[-1]["valid_elbo"] > run.metrics[0]["valid_elbo"]
        assert run.recipe.training.objective == name


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"objective": "iwae"}, "--particles 2 or more"),
        ({"objective": "dreg", "particles": 5, "beta": 0.5}, "set --beta to 1"),
        ({"objective": "iwae", "particles": 5, "kl_warmup": 3}, "set --kl-warmup to 0"),
        ({"objective": "iwae", "particles": 5, "free_bits": 0.1}, "set --free-bits to 0"),
    ],
)
def test_options_that_contradict_a_bound_are_refused(options, says):
    tried = case("vae")
    with pytest.raises(UsageError, match=says):
        objective(tried.pair(), tried.batch, TrainConfig(**options))


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
    with pytest.raises(UsageError, match="tf32 is of CUDA devices"):
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
