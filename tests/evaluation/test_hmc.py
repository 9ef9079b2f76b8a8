"""HMC moves: densities whose moments are known in closed form or by quadrature."""

import math

import pytest
import torch

from pyrovae.evaluation.annealing.hmc import Point, evaluate, leap, move

ONE = torch.ones((), dtype=torch.float64)


def flat(u):
    return torch.zeros_like(u[..., 0])


def run(density, size, moves=40, leapfrog=5, chains=4000, D=1, at=0.5):
    """Places (C, D) of chains after some moves on one density, and the acceptance of the last move."""
    both = lambda u: (density(u), flat(u))  # noqa: E731
    step = lambda *given: leap(both, *given)  # noqa: E731
    point = evaluate(both, torch.full((chains, 1, D), at, dtype=torch.float64))
    for _ in range(moves):
        point, taken = move(point, step, torch.tensor([size], dtype=torch.float64), ONE, ONE, leapfrog)
    return point.u[:, 0], taken.mean().item()


def agrees(values, mean, errors=4.5):
    """Whether the mean of independent chains is `mean` within its standard error."""
    error = values.std(0) / math.sqrt(len(values))
    return bool(((values.mean(0) - mean).abs() < errors * error).all())


@pytest.mark.parametrize(("size", "least", "most"), [(0.15, 0.95, 1.0), (0.88, 0.2, 0.8)])
def test_moments_of_a_correlated_gaussian(size, least, most):
    """The larger step leaves the trajectory far from constant energy: only the correction keeps the moments."""
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
    target = torch.distributions.MultivariateNormal(mean, covariance)
    u, taken = run(target.log_prob, size, D=2)
    assert least < taken < most
    assert agrees(u, mean)
    centred = u - mean
    assert agrees(centred.unsqueeze(-1) * centred.unsqueeze(-2), covariance)


@pytest.mark.parametrize(("size", "least", "most"), [(0.1, 0.95, 1.0), (0.6, 0.2, 0.85)])
def test_moments_of_a_density_that_is_no_gaussian(size, least, most):
    density = lambda u: (u - u**4 / 2 + torch.sin(3 * u)).squeeze(-1)  # noqa: E731
    u, taken = run(density, size)
    assert least < taken < most
    grid = torch.linspace(-5, 5, 20001, dtype=torch.float64)
    weight = density(grid.unsqueeze(-1)).softmax(0)
    for power in (1, 2, 3):
        assert agrees(u[:, 0] ** power, (weight * grid**power).sum())


@pytest.mark.parametrize("outside", [-math.inf, math.inf, math.nan])
def test_a_chain_whose_hamiltonian_is_not_finite_stays(outside):
    u, _ = run(lambda u: torch.where(u > 0, -u, outside).squeeze(-1), 0.5)
    assert (u > 0).all()
    assert agrees(u, 1.0)
    assert agrees(u.square(), 2.0)


def test_a_leapfrog_step_goes_back_the_way_it_came_and_is_of_second_order():
    both = lambda u: (-(u**4).sum(-1) / 4, torch.sin(u).sum(-1))  # noqa: E731
    start = evaluate(both, torch.randn(3, 2, 4, dtype=torch.float64))
    momentum, a, b = torch.randn_like(start.u), 0.3 * ONE, 0.8 * ONE
    energy = lambda point, r: point.log_density(a, b) - r.square().sum(-1) / 2  # noqa: E731
    errors = []
    for steps in (20, 40, 80):
        size = torch.full((3, 2, 1), 1 / steps, dtype=torch.float64)
        point, r = start, momentum
        for _ in range(steps):
            point, r = leap(both, point, r, size, a, b)
        errors.append((energy(point, r) - energy(start, momentum)).abs().mean().item())
        r = -r
        for _ in range(steps):
            point, r = leap(both, point, r, size, a, b)
        torch.testing.assert_close(point.u, start.u)
        torch.testing.assert_close(-r, momentum)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)


def test_a_point_knows_every_combination_of_its_densities():
    both = lambda u: (-(u**4).sum(-1), torch.sin(u).prod(-1))  # noqa: E731
    u = torch.randn(3, 2, 4, dtype=torch.float64)
    point, a, b = evaluate(both, u), 0.3 * ONE, 0.8 * ONE
    u.requires_grad_()
    combined = a * both(u)[0] + b * both(u)[1]
    torch.testing.assert_close(point.log_density(a, b), combined.detach())
    torch.testing.assert_close(point.gradient(a, b), torch.autograd.grad(combined.sum(), u)[0])


def test_each_chain_is_taken_or_stays_as_a_whole():
    both = lambda u: (-u.square().sum(-1) / 2, torch.sin(u).sum(-1))  # noqa: E731
    before = evaluate(both, torch.randn(50, 3, 2, dtype=torch.float64))
    size = torch.tensor([0.1, 1.2, 9.0], dtype=torch.float64)  # one datum moves, one sometimes, one never
    after, taken = move(before, lambda *given: leap(both, *given), size, ONE, ONE, 3)
    stayed = (after.u == before.u).all(-1)
    assert stayed.float().mean(0)[0] < 0.2
    assert 0 < stayed.float().mean(0)[1] < 1
    assert stayed[:, 2].all()
    assert taken.mean(0)[2] < 1e-6
    again = evaluate(both, after.u)
    for name in Point._fields:
        torch.testing.assert_close(getattr(after, name), getattr(again, name))


def test_a_flat_density_has_no_gradient():
    point = evaluate(lambda u: (flat(u), -u.square().sum(-1)), torch.randn(2, 3, 4))
    assert (point.d_first == 0).all()
    torch.testing.assert_close(point.d_second, -2 * point.u)
