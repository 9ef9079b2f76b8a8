"""Every guide family is a density: it integrates to 1, it samples what it scores, and its gradients reach it all."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import StudentT
from torch.func import functional_call, stack_module_state, vmap

from pyrovae import registry
from pyrovae.flows.gaussians import LowRankMultivariateNormal
from pyrovae.flows.scale import FLOOR, UNIT, positive
from pyrovae.guides.diagonal import Diagonal

CONTEXT = 4


@pytest.fixture
def make(guide):
    """(features, scale of the weights, dtype) -> the family with weights that are not small."""

    def make(features, weights=0.3, dtype=torch.float32):
        family = registry.family(guide)(CONTEXT, features).to(dtype)
        with torch.no_grad():
            for parameter in family.parameters():
                fan_in = parameter.shape[1] if parameter.dim() > 1 else CONTEXT
                parameter += weights * (CONTEXT / fan_in) ** 0.5 * torch.randn_like(parameter)
        return family

    return make


def test_density_integrates_to_one_in_one_dimension(make):
    q = make(1, dtype=torch.float64)(torch.randn(3, CONTEXT, dtype=torch.float64))
    z = torch.linspace(-30, 30, 60001, dtype=torch.float64)
    density = q.log_prob(z[:, None, None].expand(-1, 3, 1)).exp()
    torch.testing.assert_close(
        torch.trapezoid(density, z, dim=0), torch.ones(3, dtype=torch.float64), atol=1e-4, rtol=0
    )


def test_density_integrates_to_one_in_two_dimensions(make):
    q = make(2, weights=0.2, dtype=torch.float64)(torch.randn(CONTEXT, dtype=torch.float64))
    z = torch.linspace(-15, 15, 401, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(z, z, indexing="ij"), -1)
    total = torch.trapezoid(torch.trapezoid(q.log_prob(grid).exp(), z), z)
    assert total.item() == pytest.approx(1, abs=1e-3)


def test_samples_have_the_moments_of_the_density(make):
    """E[z] and E[z^2] from samples and from the density, whose importance weights against a Student are known."""
    q = make(2, dtype=torch.float64)(torch.randn(CONTEXT, dtype=torch.float64))
    own = q.sample((40000,))
    center, spread = own.mean(0), own.std(0)
    student = StudentT(torch.tensor(4.0, dtype=torch.float64), center, 1.5 * spread)
    foreign = student.sample((40000,))
    weight = (q.log_prob(foreign) - student.log_prob(foreign).sum(-1)).exp().unsqueeze(-1)
    assert weight.mean().item() == pytest.approx(1, abs=0.05)
    for power in (1, 2):
        # Importance estimates of the standardised moments have an error of about 0.01 here.
        scored = (weight * ((foreign - center) / spread) ** power).mean(0)
        drawn = (((own - center) / spread) ** power).mean(0)
        torch.testing.assert_close(scored, drawn, atol=0.08, rtol=0)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 2e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("features", [1, 3])
def test_a_sample_is_scored_like_a_foreign_value(make, features, dtype, atol):
    q = make(features, weights=0.2, dtype=dtype)(torch.randn(5, CONTEXT, dtype=dtype))
    z = q.rsample((6,))
    assert z.dtype == dtype
    assert q.log_prob(z).shape == (6, 5)
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), atol=atol, rtol=1e-5)


def test_shapes_of_left_dims(make):
    family = make(3, dtype=torch.float64)
    h = torch.randn(2, 5, CONTEXT, dtype=torch.float64)
    q = family(h)
    assert (q.batch_shape, q.event_shape) == ((2, 5), (3,))
    assert q.has_rsample
    z = q.sample()
    assert z.shape == (2, 5, 3)
    one_by_one = torch.stack([family(h[i, j]).log_prob(z[i, j]) for i in range(2) for j in range(5)])
    torch.testing.assert_close(q.log_prob(z.clone()).flatten(), one_by_one)
    particles = q.sample((7,))
    assert particles.shape == (7, 2, 5, 3)
    torch.testing.assert_close(q.log_prob(particles), torch.stack([q.log_prob(each.clone()) for each in particles]))
    expanded = q.expand((7, 2, 5))
    assert expanded.rsample().shape == (7, 2, 5, 3)
    torch.testing.assert_close(expanded.log_prob(particles), q.log_prob(particles))


def test_gradients_reach_every_parameter_and_the_context(make):
    family, h = make(3), torch.randn(7, CONTEXT, requires_grad=True)
    q = family(h)
    z = q.rsample()
    (z.square().sum() + q.log_prob(z).sum()).backward()
    without = [name for name, p in family.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without
    assert h.grad.abs().sum() > 0


def test_a_foreign_value_has_the_gradients_of_finite_differences(make):
    """By the value, by h and by a parameter: an inverse by iteration has them from the implicit function theorem."""
    family = make(2, dtype=torch.float64)
    h, z = torch.randn(3, CONTEXT, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    name, parameter = list(family.named_parameters())[-2]

    def log_prob(z, h, parameter):
        return functional_call(Scored(family), {f"family.{name}": parameter}, (h, z))

    inputs = [each.detach().clone().requires_grad_() for each in (z, h, parameter)]
    assert torch.autograd.gradcheck(log_prob, inputs, atol=1e-6, fast_mode=True)


class Scored(torch.nn.Module):
    """h, z -> log q(z | h)."""

    def __init__(self, family):
        super().__init__()
        self.family = family

    def forward(self, h, z):
        return self.family(h).log_prob(z)


def test_copies_of_a_family_draw_and_score_under_vmap(guide):
    """One copy of the parameters for each datum, as where a guide is fitted to each datum anew."""
    copies = [registry.family(guide)(CONTEXT, 3) for _ in range(4)]
    h = torch.randn(4, CONTEXT)

    def draw(parameters, buffers, h):
        q = functional_call(copies[0], (parameters, buffers), (h,))
        z = q.rsample((5,))
        return z, q.log_prob(z), q.log_prob(z.detach().clone())

    with pyro.validation_enabled(False):
        z, own, foreign = vmap(draw, randomness="different")(*stack_module_state(copies), h)
        assert z.shape == (4, 5, 3)
        assert len(z.detach().unique(dim=0)) == 4
        for i in range(4):
            torch.testing.assert_close(own[i], copies[i](h[i]).log_prob(z[i].clone()), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(own, foreign, atol=1e-4, rtol=1e-4)


def test_reparametrized_gradient_is_that_of_the_expectation(make):
    """d/dh E[z_0], by rsample and by the score function, with as many draws."""
    family, h = make(2, weights=0.2, dtype=torch.float64), torch.randn(CONTEXT, dtype=torch.float64, requires_grad=True)
    q = family(h)
    z = q.rsample((100000,))
    (path,) = torch.autograd.grad(z[:, 0].mean(), h, retain_graph=True)
    z = z.detach()
    centred = z[:, 0] - z[:, 0].mean()
    (score,) = torch.autograd.grad((centred * q.log_prob(z)).mean(), h)
    torch.testing.assert_close(path, score, atol=0.02, rtol=0.05)


def test_noise_has_the_scale_it_is_scored_with(guide):
    """At zero weights every family is a Gaussian of known mean and scale: the noise has standard deviation 1."""
    family = registry.family(guide)(CONTEXT, 2)
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.zero_()
    z = family(torch.zeros(CONTEXT)).sample((200000,))
    shrink = torch.sigmoid(torch.tensor(2.0)) ** (2 if guide.startswith("iaf") else 0)  # two gates at sigmoid(0 + 2)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=0.01, rtol=0)
    torch.testing.assert_close(z.std(0), shrink.expand(2), atol=0.01, rtol=0)
    at_zero = -math.log(2 * math.pi) - 2 * shrink.log()
    torch.testing.assert_close(family(torch.zeros(CONTEXT)).log_prob(torch.zeros(2)), at_zero)


def test_diagonal_closed_form():
    family, h = Diagonal(CONTEXT, 3), torch.randn(5, CONTEXT)
    q, z = family(h), torch.randn(5, 3)
    scale = FLOOR + (1 - FLOOR) * torch.nn.functional.softplus(family.raw(h) + UNIT)
    wanted = torch.distributions.Normal(family.loc(h), scale).log_prob(z).sum(-1)
    torch.testing.assert_close(q.log_prob(z), wanted)
    assert torch.nn.functional.softplus(torch.tensor(UNIT)).item() == pytest.approx(1)


def test_full_and_lowrank_have_covariances():
    for spec in ("full", "lowrank:rank=2"):
        family = registry.family(spec)(CONTEXT, 3)
        with torch.no_grad():
            for parameter in family.parameters():
                parameter += 2 * torch.randn_like(parameter)
        q = family(torch.randn(CONTEXT))
        empirical = q.sample((200000,)).T.cov()
        scale = q.covariance_matrix.diagonal().max()
        assert (q.covariance_matrix - q.covariance_matrix.diagonal().diag_embed()).abs().max() > 0.05 * scale
        torch.testing.assert_close(empirical, q.covariance_matrix, atol=0.03 * scale.item(), rtol=0)


def test_options_of_a_spec_reach_the_family():
    assert len(registry.family("iaf:steps=3:hidden=5")(CONTEXT, 2).steps) == 3
    assert registry.family("lowrank:rank=9")(CONTEXT, 2).rank == 2


def test_the_least_scale_is_one_that_float32_can_score():
    """At z = 20 a scale of 1e-7 would make every sample of one's own impossible."""
    scale = positive(torch.tensor(-1000.0))
    assert scale == FLOOR
    z = torch.distributions.Normal(20.0, scale).sample((4000,))
    assert ((z - 20) / scale).square().mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("size", [1.0, 3.0])
def test_a_low_rank_gaussian_is_exact_where_its_diagonal_is_small(size):
    """Against a full covariance in double precision; torch's own formula is off by 2 and 20 nats here."""
    W, d, loc = size * torch.randn(7, 50, 4), torch.full((7, 50), 1e-4), torch.randn(7, 50)
    q = LowRankMultivariateNormal(loc, W, d)
    z = q.rsample((50,))
    covariance = W.double() @ W.double().mT + torch.diag_embed(d.double())
    exact = torch.distributions.MultivariateNormal(loc.double(), covariance).log_prob(z.double())
    torch.testing.assert_close(q.log_prob(z).double(), exact, atol=5e-3, rtol=0)
    assert (dist.LowRankMultivariateNormal.log_prob(q, z) - exact).abs().max() > 1
