"""Priors that are learned: densities by another route, draws, and what is done with a pair that has one."""

import copy
import json
import math

import pytest
import torch
from commands import done, run
from conftest import FLOW, SMALL, VAMP, case
from torch.autograd.functional import jacobian

import pyrovae
from pyrovae import PyrovaeError, UsageError, registry
from pyrovae.data import Field
from pyrovae.evaluation import ais
from pyrovae.flows.gaussians import log_prob_of_each
from pyrovae.objectives.choose import objective
from pyrovae.options import TrainConfig
from pyrovae.pairs.traces import log_joint
from pyrovae.priors import FlowPrior, PriorConfig, VampPrior, prior
from pyrovae.runs import tensors

GUIDES = ("diagonal", "full", "iaf:steps=2:hidden=8", "coupling:steps=1:hidden=8", "mixture:components=2")


def moved(module, weights=0.3):
    """In double precision, with weights that are not small."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += weights * torch.randn_like(parameter)
    return module


def vamp(guide="diagonal", features=2, count=7, weights=0.3):
    """A prior, and the family behind it; pseudo-inputs are vectors of 4."""
    family = moved(registry.family(guide)(4, features), weights)
    return VampPrior(family.forward, torch.randn(count, 4, dtype=torch.float64), unit=False), family


@pytest.mark.parametrize("guide", GUIDES)
def test_vamp_is_the_mixture_over_its_pseudo_inputs(guide):
    p, family = vamp(guide)
    z = torch.randn(3, 5, 2, dtype=torch.float64)
    one_by_one = [family(u.unsqueeze(0)).log_prob(z.reshape(15, 2)) for u in p.inputs()]
    wanted = torch.stack(one_by_one).exp().mean(0).log().reshape(3, 5)
    torch.testing.assert_close(p().log_prob(z), wanted)
    torch.testing.assert_close(p().expand((5,)).log_prob(z), wanted)
    torch.testing.assert_close(p().expand((3, 5)).log_prob(z[0, 0]), wanted[0, 0].expand(3, 5))


@pytest.mark.parametrize("least", [1e-4, 1e-2, 1.0])
def test_the_product_over_all_normals_has_the_digits_of_float32(least):
    loc, scale = 3 * torch.randn(20, 6), least * (1 + torch.rand(20, 6))
    z = (loc + scale * torch.randn(20, 6)).repeat(2, 1, 1)
    own = log_prob_of_each(z, loc, scale).diagonal(dim1=-2, dim2=-1)
    normal = torch.distributions.Normal(loc.double(), scale.double())
    torch.testing.assert_close(own.double(), normal.log_prob(z.double()).sum(-1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("features", [1, 2, 5])
def test_a_flow_prior_is_the_change_of_variables(features):
    p = moved(FlowPrior(features, 3, 8))()
    z0 = torch.randn(features, dtype=torch.float64)

    def flow(z):
        for step in p.transforms:
            z = step(z)
        return z

    log_det = torch.linalg.slogdet(jacobian(flow, z0)).logabsdet
    assert log_det.abs() > 1e-3
    wanted = -0.5 * (z0.square() + math.log(2 * math.pi)).sum() - log_det
    torch.testing.assert_close(p.log_prob(flow(z0).detach().clone()), wanted)


PRIORS = {
    "vamp": lambda: vamp(count=3, weights=0.1)[0],
    "vamp-iaf": lambda: vamp(GUIDES[2], count=3, weights=0.1)[0],
    "flow": lambda: moved(FlowPrior(2, 3, 8)),
}


@pytest.mark.parametrize("name", PRIORS)
def test_a_density_integrates_to_one_and_draws_follow_it(name):
    with torch.no_grad():
        p, step = PRIORS[name]()(), 0.1
        at = torch.arange(-15, 15, step, dtype=torch.float64)
        grid = torch.cartesian_prod(at, at)
        mass = p.log_prob(grid).exp() * step**2
        assert mass.sum().item() == pytest.approx(1, abs=2e-3)
        z = p.sample((40, 500)).reshape(-1, 2)
        found = torch.cat([z, z.square(), z.prod(-1, keepdim=True), z.sin()], -1)
        exact = torch.cat([grid, grid.square(), grid.prod(-1, keepdim=True), grid.sin()], -1)
        expected = mass @ exact
        assert ((found.mean(0) - expected).abs() < 5 * found.std(0) / len(z) ** 0.5 + 5e-3).all()


def test_draws_of_the_mixture_are_of_all_components_and_none_comes_twice():
    p, _ = vamp(count=300)
    for shape in ((), (3, 4), (1000,), (0,)):
        z = p().expand((2,)).sample(shape)
        assert z.shape == (*shape, 2, 2)
        assert len(z.reshape(-1, 2).unique(dim=0)) == math.prod(shape) * 2
    far = VampPrior(moved(registry.family("diagonal")(4, 1), 0).forward, torch.eye(4).double(), unit=False)
    with torch.no_grad():
        far.posterior.__self__.loc.weight.copy_(torch.tensor([[0.0, 1000.0, 2000.0, 3000.0]]))
    counts = far().sample((4000,)).flatten().div(1000).round().long().clamp(0, 3).bincount(minlength=4)
    assert ((counts - 1000).abs() < 5 * 750**0.5).all()


def test_pseudo_inputs_are_of_the_field_and_start_near_its_mean():
    config, mean = PriorConfig(prior="vamp", pseudo_inputs=50), torch.tensor([[0.0, 0.3, 1.0]])
    for kind, low, high in (("binary", 0, 1), ("unit", 0, 1), ("real", -math.inf, math.inf)):
        p = prior(config, 2, torch.nn.Identity().forward, Field((1, 3), kind, mean=mean))
        wanted = mean.clamp(0.05, 0.95) if kind != "real" else mean
        assert p.inputs().shape == (50, 1, 3)
        assert (p.inputs() - wanted).abs().max() < 0.05
        assert torch.autograd.grad(p.inputs().sum(), p.pseudo)[0].abs().min() == 1
        with torch.no_grad():
            p.pseudo += 5 * torch.randn_like(p.pseudo)
        assert p.inputs().min() >= low
        assert p.inputs().max() <= high
        assert kind == "real" or ((p.inputs() == 0).any() and (p.inputs() == 1).any())


def test_a_copy_of_a_pair_reads_its_own_guide_and_each_weight_has_one_name():
    tried = case("vae-vamp")
    pair = tried.pair()
    again, z = copy.deepcopy(pair), torch.randn(4, 3)
    before = pair.model.prior().log_prob(z)
    with torch.no_grad():
        again.guide.q.loc.bias += 1
    torch.testing.assert_close(pair.model.prior().log_prob(z), before)
    assert (again.model.prior().log_prob(z) - before).abs().min() > 1e-3
    assert [name for name in tensors.weights(pair) if "prior" in name] == ["model.prior.pseudo"]
    assert pair.double().model.prior().sample().dtype == torch.float64


@pytest.mark.parametrize("options", [VAMP, FLOW], ids=["vamp", "flow"])
@pytest.mark.parametrize("start", ["prior", "guide"])
def test_annealing_finds_the_integral_over_z(options, start):
    tried = case("vae", latent_dim=2, **options)
    pair, batch = tried.pair(), [tried.batch[0][:4]]
    with torch.no_grad():
        for parameter in pair.model.prior.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        at = torch.arange(-8, 8, 0.1)
        z = torch.cartesian_prod(at, at).unsqueeze(1).expand(-1, 4, 2)
        log_p = log_joint(pair.model, batch, {"z": z}, K=len(z)).logsumexp(0) + 2 * math.log(0.1)
    found = ais(pair, batch, steps=40, chains=40, leapfrog=3, start=start)
    assert ((found.log_likelihood - log_p).abs() < 5 * found.standard_error + 2e-3).all()
    assert (found.standard_error < 0.2).all()
    sampled = pyrovae.log_likelihood(pair, batch, samples=4000)
    assert ((sampled.log_likelihood - log_p).abs() < 5 * sampled.standard_error + 2e-3).all()


@pytest.mark.parametrize("name", ["vae-vamp", "vae-flow-prior", "hvae-vamp"])
def test_no_closed_form_is_refused_and_the_prior_is_named(name):
    tried = case(name)
    family = "flow of Normal" if name == "vae-flow-prior" else "EqualMixture"
    with pytest.raises(UsageError, match=f"Normal against {family}.*take kl='sampled'"):
        objective(tried.pair(), tried.batch, TrainConfig(kl="analytic"))


def test_the_iaf_model_takes_a_prior_of_its_own_guide():
    tried = case("iaf", "iaf:steps=1:hidden=8", **VAMP)
    pair = tried.pair()
    terms = pyrovae.ELBO(pair)(*tried.batch)
    (gradient,) = torch.autograd.grad(terms.loss, [pair.model.prior.pseudo])
    assert terms.loss.isfinite()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("options", [VAMP, FLOW], ids=["vamp", "flow"])
def test_a_run_is_saved_loaded_and_drawn_from(options, tmp_path):
    x, folder = case("vae").batch[0].repeat(4, 1, 1, 1), tmp_path / "run"
    settings = SMALL["vae"] | options | {"epochs": 1, "score_samples": 5, "device": "cpu", "show": False}
    fitted = pyrovae.fit("vae", x, "iaf:steps=1:hidden=4", folder, **settings)
    assert (folder / "samples.png").is_file()
    loaded = pyrovae.load(folder, data=x)
    assert torch.equal(loaded.sample(5), fitted.sample(5))
    # With the model of a run frozen, the guides share one p(z): the guide's own cannot be one.
    again = {"epochs": 1, "score_samples": 5, "show": False}
    if options is VAMP:
        with pytest.raises(PyrovaeError, match="reads weights of the guide"):
            pyrovae.fit(freeze_model=loaded, guide="full", data=x, **again)
    else:
        frozen = pyrovae.fit(freeze_model=loaded, guide="full", data=x, **again)
        assert torch.equal(
            frozen.pair.model.prior.flows.nets[0].last.weight, fitted.pair.model.prior.flows.nets[0].last.weight
        )


def test_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = ("--epochs", 1, "--limit-train", 50, "--score-samples", 5, "--score-limit", 20, "--device", "cpu", "--quiet")
    for name, options in (("vamp", ("--pseudo-inputs", 3)), ("flow", ("--prior-steps", 2, "--prior-hidden", 5))):
        sizes = ("--latent-dim", 2, "--hidden", 6)
        done("fit", "--model", "vae", "--prior", name, *options, *sizes, *tiny, "--out", name)
        assert json.loads((tmp_path / name / "run.json").read_text())["recipe"]["options"]["prior"] == name
        done("sample", name, "-n", 4, "--out", f"{name}.png")
        done("evaluate", name, "--limit", 20, "--samples", 5)
        assert (tmp_path / f"{name}.png").is_file()
    assert (
        "there is no prior 'vam': did you mean 'vamp'?"
        in run("fit", "--model", "vae", "--prior", "vam", "--out", "x").stderr
    )
