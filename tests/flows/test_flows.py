"""The flows under the guide families: determinants, inverses, constraints, and what each family is by its paper."""

import pytest
import torch
from conftest import GUIDES, short
from torch.autograd.functional import jacobian

from pyrovae import registry
from pyrovae.flows.elementwise import Affine, Gate, RationalQuadratic
from pyrovae.flows.root import tanh_root
from pyrovae.guides.householder import Householder
from pyrovae.guides.iaf import IAF
from pyrovae.guides.planar import PlanarFlow, invertible
from pyrovae.guides.radial import RadialFlow
from pyrovae.guides.spline import Spline
from pyrovae.guides.sylvester import Orthogonal, Reflected, Sylvester

CONTEXT = 4
FLOWS = [spec for spec in GUIDES if hasattr(registry.family(spec)(CONTEXT, 2)(torch.zeros(CONTEXT)), "transforms")]


def moved(family, weights=0.3):
    """The family in double precision, with weights that are not small."""
    family = family.double()
    with torch.no_grad():
        for parameter in family.parameters():
            parameter += weights * torch.randn_like(parameter)
    return family


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_every_family_but_gaussians_and_the_mixture_is_a_flow():
    others = {spec.split(":")[0] for spec in GUIDES} - {spec.split(":")[0] for spec in FLOWS}
    assert others == {"diagonal", "full", "lowrank", "mixture"}


@pytest.mark.parametrize("features", [1, 2, 4])
@pytest.mark.parametrize("spec", FLOWS, ids=short)
def test_log_determinant_is_that_of_autograd(spec, features):
    q = moved(registry.family(spec)(CONTEXT, features))(normal(CONTEXT))

    def flow(z):
        for step in q.transforms:
            z = step(z)
        return z

    z = normal(features)
    log_det = torch.linalg.slogdet(jacobian(flow, z)).logabsdet
    torch.testing.assert_close(q.log_prob(flow(z)), q.base_dist.log_prob(z) - log_det)
    torch.testing.assert_close(q.log_prob(flow(z).clone()), q.base_dist.log_prob(z) - log_det)


@pytest.mark.parametrize("spec", FLOWS, ids=short)
def test_log_determinant_of_a_value_that_is_not_the_last_one(spec):
    step = moved(registry.family(spec)(CONTEXT, 3))(normal(CONTEXT)).transforms[0]
    x = normal(3)
    wanted = torch.linalg.slogdet(jacobian(step, x)).logabsdet
    y, other = step(x), normal(3)
    torch.testing.assert_close(step.log_abs_det_jacobian(x, y), wanted)
    last = step(other)  # now this one is cached
    if not spec.startswith("householder"):
        assert abs(step.log_abs_det_jacobian(other, last) - wanted) > 1e-6
    torch.testing.assert_close(step.log_abs_det_jacobian(x, y), wanted)
    torch.testing.assert_close(step.log_abs_det_jacobian(step.inv(y.clone()), y), wanted)


@pytest.mark.parametrize("spec", FLOWS, ids=short)
def test_an_own_sample_is_scored_without_an_inverse(monkeypatch, spec):
    q = registry.family(spec)(CONTEXT, 3)(torch.randn(5, CONTEXT))
    z = q.rsample((2,))
    for step in q.transforms:
        monkeypatch.setattr(step, "_inverse", None)
    own = q.log_prob(z)
    monkeypatch.undo()
    torch.testing.assert_close(q.log_prob(z.clone()), own, atol=1e-4, rtol=1e-4)


def test_steps_of_autoregressive_flows_have_orders_that_turn():
    iaf = IAF(CONTEXT, 3, steps=2, hidden=8)(torch.randn(CONTEXT)).transforms
    spline = moved(Spline(CONTEXT, 3, hidden=8, kind="autoregressive"))(normal(CONTEXT)).transforms[:2]
    for steps, dtype in ((iaf, torch.float32), (spline, torch.float64)):
        for t, step in enumerate(steps):
            slopes = jacobian(step, torch.randn(3, dtype=dtype))
            above = slopes.triu(1) if t == 0 else slopes.tril(-1)
            below = slopes.tril(-1) if t == 0 else slopes.triu(1)
            assert (above == 0).all()
            assert (below != 0).any()


@pytest.mark.parametrize("spec", ["coupling:steps=2", "spline"])
def test_couplings_keep_one_half_and_then_the_other(spec):
    first, second = moved(registry.family(spec)(CONTEXT, 5))(normal(CONTEXT)).transforms[:2]
    x = normal(5)
    assert torch.equal(first(x)[:2], x[:2])
    assert torch.equal(second(x)[3:], x[3:])
    assert (first(x)[2:] != x[2:]).all()
    assert (jacobian(first, x)[2:, :2] != 0).any()  # what is kept says how the rest is mapped


@pytest.mark.parametrize("each", [Affine(), Gate(), RationalQuadratic(5)], ids=lambda each: type(each).__name__)
def test_elementwise_maps_increase_and_are_inverted(each):
    x = torch.linspace(-7, 7, 201, dtype=torch.float64).unsqueeze(-1).requires_grad_()
    raw = 2 * normal(each.count, 1).expand(201, -1, -1)
    y, log_slope = each.push(x, raw)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(log_slope.exp(), slope)
    assert (y.diff(dim=0) > 0).all()
    back, log_slope_at_x = each.pull(y, raw)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(log_slope_at_x, log_slope)


def test_the_spline_is_the_identity_at_zero_and_outside_its_box():
    each, x = RationalQuadratic(4, bound=3.0), torch.linspace(-6, 6, 101, dtype=torch.float64).unsqueeze(-1)
    torch.testing.assert_close(each.push(x, 0 * normal(each.count, 1))[0], x)
    y, log_slope = each.push(x, 3 * normal(each.count, 1))
    outside = x.abs() >= 3
    assert torch.equal(y[outside], x[outside])
    assert (log_slope[outside] == 0).all()
    assert ((y - x)[~outside].abs() > 1e-3).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_root_of_tanh(dtype):
    r, k, c = 5 * torch.randn(3, 1000, dtype=dtype)
    q = (2 * torch.rand(1000, dtype=dtype) - 0.99) * 3
    r = torch.where(r * q > -0.999, r, -0.999 / q)
    x = tanh_root(r, q, k, c)
    torch.testing.assert_close(x + r * torch.tanh(q * x + k), c, atol=100 * torch.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_planar_and_radial_steps_stay_invertible_at_any_parameters(dtype):
    """Also where u points against w, and where beta is close to -alpha."""
    x = torch.randn(500, 3, dtype=dtype)
    w = torch.randn(500, 3, dtype=dtype)
    for size in (-30.0, -3.0, 3.0, 30.0):
        u, s = invertible(size * w, w)
        planar = PlanarFlow(u, w, torch.randn(500, 1, dtype=dtype), s)
        # w'y is what the equation is about: it increases with w'x.
        slope = planar.s - 1
        torch.testing.assert_close((planar.u * w).sum(-1, keepdim=True), slope, atol=1e-3, rtol=1e-4)
        assert (slope > -1).all()
        y = planar(x)
        assert planar.log_abs_det_jacobian(x, y).isfinite().all()
        back = planar.inv(y.clone())
        torch.testing.assert_close(planar(back.clone()), y, atol=2e-3, rtol=1e-3)
    for s in (1e-3, 0.1, 10.0):
        ones = torch.ones(500, 1, dtype=dtype)
        radial = RadialFlow(torch.randn(500, 3, dtype=dtype), 2 * ones, s * ones)
        y = radial(x)
        torch.testing.assert_close(radial.inv(y.clone()), x, atol=1e-3 if dtype == torch.float32 else 1e-9, rtol=0)


def test_radial_steps_are_inverted_where_they_stretch_much():
    x = 0.01 * torch.randn(100, 2)
    radial = RadialFlow(torch.zeros(2), torch.full((1,), 0.01), torch.full((1,), 1e5))
    torch.testing.assert_close(radial.inv(radial(x).clone()), x, atol=0, rtol=1e-5)


@pytest.mark.parametrize("make", [lambda: Orthogonal(CONTEXT, 6, 2, 4), lambda: Reflected(CONTEXT, 6, 2, 4, 3)])
def test_columns_of_sylvester_are_orthonormal(make):
    columns = moved(make(), weights=20.0)(normal(5, CONTEXT))  # far from the unit vectors at which it starts
    eye = torch.eye(4, dtype=torch.float64).expand(5, 2, 4, 4)
    torch.testing.assert_close(columns @ columns.transpose(-1, -2), eye)
    assert (columns - torch.eye(4, 6, dtype=torch.float64)).abs().max() > 0.5


def test_sylvester_has_triangles_whose_diagonals_keep_it_invertible():
    family = moved(Sylvester(CONTEXT, 5, width=3), weights=30.0)
    R, S, _ = family.triangles(normal(100, CONTEXT))
    assert (R.tril(-1) == 0).all()
    assert (S.tril(-1) == 0).all()
    assert (R.diagonal(dim1=-2, dim2=-1) * S.diagonal(dim1=-2, dim2=-1)).min() > -1
    assert R.triu(1).abs().max() > 1


def test_sylvester_is_inverted_where_its_coordinates_hang_together():
    family = moved(Sylvester(CONTEXT, 5, width=4), weights=5.0)
    step = family(normal(100, CONTEXT)).transforms[0]
    assert min(step.R.triu(1).abs().mean(), step.S.triu(1).abs().mean()) > 0.3
    x = normal(100, 5)
    torch.testing.assert_close(step.inv(step(x).clone()), x, atol=1e-8, rtol=0)


def test_householder_rotates_the_covariance():
    family = moved(Householder(CONTEXT, 3, steps=2), weights=1.0)
    q = family(normal(CONTEXT))
    rotation = jacobian(q.transforms[0], normal(3))
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
    covariance = rotation @ q.base_dist.variance.diag() @ rotation.T
    full = torch.distributions.MultivariateNormal(rotation @ q.base_dist.mean, covariance)
    z = normal(6, 3)
    torch.testing.assert_close(q.log_prob(z), full.log_prob(z))
