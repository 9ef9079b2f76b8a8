"""Hamiltonian Monte Carlo for many chains of many data at once, on a density that lies between two others.

Radford M. Neal: MCMC using Hamiltonian dynamics. Handbook of Markov Chain Monte Carlo 2011.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

JITTER = 0.2
"""Step sizes vary by this share from move to move: a trajectory of one length comes back to its start in a direction
whose period it is."""

Densities = Callable[[Tensor], tuple[Tensor, Tensor]]
"""(C, B, D) -> two log densities (C, B), nats."""


class Point(NamedTuple):
    """Where C chains of B data stand, with two log densities there and their gradients.

    log f = a * first + b * second for any a and b is known from here without another evaluation.
    """

    u: Tensor  # (C, B, D)
    first: Tensor  # (C, B)
    second: Tensor  # (C, B)
    d_first: Tensor  # (C, B, D)
    d_second: Tensor  # (C, B, D)

    def log_density(self, a: Tensor, b: Tensor) -> Tensor:
        """log f, (C, B)."""
        return a * self.first + b * self.second

    def gradient(self, a: Tensor, b: Tensor) -> Tensor:
        """Of log f, (C, B, D)."""
        return a * self.d_first + b * self.d_second


Leap = Callable[[Point, Tensor, Tensor, Tensor, Tensor], tuple[Point, Tensor]]
"""`leap` for given densities."""


def evaluate(densities: Densities, u: Tensor) -> Point:
    """The two densities at u, and their gradients; one evaluation."""
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        first, second = densities(u)
        gradients = _gradient(first, u), _gradient(second, u)
    return Point(u.detach(), first.detach(), second.detach(), *gradients)


def _gradient(value: Tensor, u: Tensor) -> Tensor:
    if not value.requires_grad:  # a flat density
        return torch.zeros_like(u)
    return torch.autograd.grad(value.sum(), u, retain_graph=True, allow_unused=True, materialize_grads=True)[0]


def leap(
    densities: Densities, point: Point, momentum: Tensor, size: Tensor, a: Tensor, b: Tensor
) -> tuple[Point, Tensor]:
    """One leapfrog step of `size` (C, B, 1): half a step of the momentum, one of the place, half a step again."""
    momentum = momentum + size / 2 * point.gradient(a, b)
    point = evaluate(densities, point.u + size * momentum)
    return point, momentum + size / 2 * point.gradient(a, b)


def move(point: Point, step: Leap, size: Tensor, a: Tensor, b: Tensor, leapfrog: int) -> tuple[Point, Tensor]:
    """One HMC move of each chain, which leaves a * first + b * second invariant; without a sync with the host.

    A trajectory of `leapfrog` steps from a fresh momentum N(0, I) is taken or refused for each chain and datum
    (Metropolis); one that ends where the Hamiltonian is not finite is refused.

    Args:
        point: where the chains stand.
        step: one leapfrog step.
        size: (B,) of each datum.
        a: weight of the first density, a tensor of no dims.
        b: weight of the second.
        leapfrog: steps of a trajectory.

    Returns:
        Where they stand then, and the probability (C, B) with which each trajectory is taken.
    """
    momentum = torch.randn_like(point.u)
    jitter = 1 + JITTER * (2 * torch.rand_like(point.first) - 1)
    sizes = (size * jitter).unsqueeze(-1)
    new, end = point, momentum
    for _ in range(leapfrog):
        new, end = step(new, end, sizes, a, b)
    energy = new.log_density(a, b) - end.square().sum(-1) / 2
    change = energy - (point.log_density(a, b) - momentum.square().sum(-1) / 2)
    change = torch.where(energy.isfinite() & ~change.isnan(), change, -torch.inf)
    taken = torch.rand_like(change).log() < change
    wide = taken.unsqueeze(-1)
    stands = Point(
        torch.where(wide, new.u, point.u),
        torch.where(taken, new.first, point.first),
        torch.where(taken, new.second, point.second),
        torch.where(wide, new.d_first, point.d_first),
        torch.where(wide, new.d_second, point.d_second),
    )
    return stands, change.clamp_max(0).exp()
