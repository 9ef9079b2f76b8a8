"""Every guide family is a density: it integrates to 1, it samples what it scores, and its gradients reach it all."""

import math

import pytest
import torch
from torch.distributions import StudentT

from pyrovae import registry
from pyrovae.guides.diagonal import UNIT, Diagonal
from pyrovae.guides.iaf import IAF

CONTEXT = 4


@pytest.fixture
def make(guide):
    """(features, scale of the weights, dtype) -> the family with weights that are not small."""

    def make(features, weights=0.5, dtype=torch.float32):
        family = registry.family(guide)(CONTEXT, features).to(dtype)
        with torch.no_grad():
            for parameter in family.parameters():
                parameter += weights * torch.randn_like(parameter)
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
    q = make(2, dtype=torch.float64)(torch.randn(CONTEXT, dtype=torch.float64))
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
    family = make(3)
    h = torch.randn(2, 5, CONTEXT)
    q = family(h)
    assert (q.batch_shape, q.event_shape) == ((2, 5), (3,))
    assert q.has_rsample
    z = q.sample()
    assert z.shape == (2, 5, 3)
    one_by_one = torch.stack([family(h[i, j]).log_prob(z[i, j]) for i in range(2) for j in range(5)])
    torch.testing.assert_close(q.log_prob(z.clone()).flatten(), one_by_one, atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_parameter_and_the_context(make):
    family, h = make(3), torch.randn(7, CONTEXT, requires_grad=True)
    q = family(h)
    z = q.rsample()
    (z.square().sum() + q.log_prob(z).sum()).backward()
    without = [name for name, p in family.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without
    assert h.grad.abs().sum() > 0


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
    scale = torch.nn.functional.softplus(family.raw(h) + UNIT)
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


@pytest.mark.parametrize("features", [1, 2, 4])
def test_log_determinant_of_iaf_is_that_of_autograd(features):
    family = IAF(CONTEXT, features, steps=3, hidden=8).double()
    with torch.no_grad():
        for parameter in family.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    q = family(torch.randn(CONTEXT, dtype=torch.float64))

    def flow(z):
        for step in q.transforms:
            z = step(z)
        return z

    z = torch.randn(features, dtype=torch.float64)
    log_det = torch.linalg.slogdet(torch.autograd.functional.jacobian(flow, z)).logabsdet
    torch.testing.assert_close(q.log_prob(flow(z)), q.base_dist.log_prob(z) - log_det)
    torch.testing.assert_close(q.log_prob(flow(z).clone()), q.base_dist.log_prob(z) - log_det)


def test_steps_of_iaf_are_autoregressive_in_orders_that_turn():
    family = IAF(CONTEXT, 3, steps=2, hidden=8)
    q = family(torch.randn(CONTEXT))
    for t, step in enumerate(q.transforms):
        jacobian = torch.autograd.functional.jacobian(step, torch.randn(3))
        above = jacobian.triu(1) if t == 0 else jacobian.tril(-1)
        below = jacobian.tril(-1) if t == 0 else jacobian.triu(1)
        assert (above == 0).all()
        assert (below != 0).any()


def test_options_of_a_spec_reach_the_family():
    assert len(registry.family("iaf:steps=3:hidden=5")(CONTEXT, 2).steps) == 3
    assert registry.family("lowrank:rank=9")(CONTEXT, 2).rank == 2


def test_log_determinant_of_a_value_that_is_not_the_last_one():
    family = IAF(CONTEXT, 3, steps=1, hidden=8).double()
    (step,) = family(torch.randn(CONTEXT, dtype=torch.float64)).transforms
    x = torch.randn(3, dtype=torch.float64)
    wanted = torch.linalg.slogdet(torch.autograd.functional.jacobian(step, x)).logabsdet
    y, other = step(x), torch.randn(3, dtype=torch.float64)
    torch.testing.assert_close(step.log_abs_det_jacobian(x, y), wanted)
    last = step(other)  # now this one is cached
    assert abs(step.log_abs_det_jacobian(other, last) - wanted) > 1e-4
    torch.testing.assert_close(step.log_abs_det_jacobian(x, y), wanted)
    torch.testing.assert_close(step.log_abs_det_jacobian(step.inv(y.clone()), y), wanted)
