"""Which values a distribution gives at all: its support, and what lies outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch
from pyro.distributions.torch_distribution import ExpandedDistribution, MaskedDistribution
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution, constraints
from torch.distributions.transforms import AffineTransform, ComposeTransform, Transform

BOUNDS = ("value", "lower_bound", "upper_bound")
"""Of a constraint, by torch's names."""

SUM = 1e-4
"""How far the numbers of a simplex may be off 1 together; torch allows 1e-6, which float32 does not hold."""


def support(family: Distribution) -> constraints.Constraint:
    """Of one value; the real numbers where a distribution does not say (the flows of zuko do not)."""
    try:
        found = family.support
        _ = None if found is None else found.is_discrete
    except (NotImplementedError, AttributeError):
        found = None
    if found is None:
        return constraints.independent(constraints.real, len(family.event_shape))
    # A mixture hides the support of its components, which biject_to does not look for; torch 2.6 does not hide it.
    hidden = getattr(constraints, "MixtureSameFamilyConstraint", ())
    constraint: constraints.Constraint = found.base_constraint if isinstance(found, hidden) else found
    return constraint


def innermost(constraint: constraints.Constraint) -> constraints.Constraint:
    """The constraint of one number of a vector."""
    inner = getattr(constraint, "base_constraint", None)
    return constraint if inner is None else innermost(inner)


def is_everything(family: Distribution) -> bool:
    """Whether every real number lies in the support."""
    family = bare(family)
    if innermost(support(family)) not in (constraints.real, constraints.real_vector):
        return False
    moved = _moved(family)
    return not moved or innermost(moved[0].codomain) in (constraints.real, constraints.real_vector)


def _moved(family: Distribution) -> list[Transform]:
    """The affine maps that end a transformed distribution whose support torch takes for the real line on account of
    them, after the transform before them; empty of any other. `biject_to` of a bound or of an interval ends so."""
    if not isinstance(family, TransformedDistribution) or type(family).support is not TransformedDistribution.support:
        return []  # or one that says what its support is
    flat = [part for transform in family.transforms for part in _parts(transform)]
    for at in range(len(flat), 0, -1):
        if not isinstance(flat[at - 1], AffineTransform):
            return flat[at - 1 :] if at < len(flat) else []
    return []


def _parts(transform: Transform) -> list[Transform]:
    if isinstance(transform, ComposeTransform):
        return [part for each in transform.parts for part in _parts(each)]
    return [transform]


def outside(family: Distribution, value: Tensor) -> Tensor:
    """Which numbers of a value lie outside the support, or which values: of the left dims of `value`, and some of its
    event dims. What a mask leaves out lies nowhere."""
    if isinstance(family, Independent):
        return outside(family.base_dist, value)
    if isinstance(family, ExpandedDistribution):
        return outside(family.base_dist, value)
    if isinstance(family, MaskedDistribution):
        found = outside(family.base_dist, value)
        mask = family._mask
        if isinstance(mask, Tensor):
            mask = mask.reshape(*mask.shape, *[1] * (found.dim() - value.dim() + len(family.event_shape)))
        return found & mask
    constraint, stray = support(family), torch.zeros_like(value, dtype=torch.bool)
    if moved := _moved(family):
        for transform in reversed(moved[1:]):
            value = transform.inv(value)
        constraint = moved[0].codomain
    if innermost(constraint) is constraints.simplex:
        stray = off_simplex(value)
    else:
        with suppress(NotImplementedError, ValueError):  # of a constraint that depends on what is not known
            stray = ~constraint.check(value)
    return stray


def off_simplex(value: Tensor) -> Tensor:
    """Which vectors lie off the simplex by more than rounding, or hold what is no number."""
    return (value < 0).any(-1) | ((value.sum(-1) - 1).abs() > SUM) | value.isnan().any(-1)


def words(family: Distribution, shape: Sequence[int] = (), at: Sequence[int] | None = None) -> str:
    """What the support of one number is, for a sentence; of a value of that shape, of the number `at` that place."""
    family = bare(family)
    if moved := _moved(family):
        return f"{innermost(moved[0].codomain)}, scaled and moved"
    constraint = innermost(support(family))
    return str(constraint) if at is None else _of_one(constraint, shape, at)


def _of_one(constraint: constraints.Constraint, shape: Sequence[int], at: Sequence[int]) -> str:
    """A constraint of one number, as Pyro writes it: `IntegerInterval(lower_bound=0, upper_bound=5)`.

    Args:
        constraint: of many numbers, whose bounds may be tensors.
        shape: of these numbers.
        at: which one is meant.
    """
    bounds = {name: getattr(constraint, name) for name in BOUNDS if hasattr(constraint, name)}
    if not any(isinstance(bound, Tensor) for bound in bounds.values()):
        return str(constraint)
    shown = []
    for name, bound in bounds.items():
        with suppress(RuntimeError):  # one that does not go with the value is left out
            one = torch.as_tensor(bound).expand(tuple(shape))[tuple(at)]
            shown.append(f"{name}={one.item():g}")
    return f"{type(constraint).__name__.removeprefix('_')}({', '.join(shown)})"


def family_of(fn: Distribution) -> str:
    """The name of a distribution, without what Pyro has put around it."""
    return type(bare(fn)).__name__


def is_normalised(fn: Distribution) -> bool:
    """Whether it scores by log-probabilities; a class whose `log_prob` is none has `normalised = False`."""
    return bool(getattr(bare(fn), "normalised", True))


def bare(fn: Distribution) -> Distribution:
    """A distribution without what Pyro has put around it."""
    while isinstance(fn, Independent | ExpandedDistribution | MaskedDistribution):
        fn = fn.base_dist
    return fn
