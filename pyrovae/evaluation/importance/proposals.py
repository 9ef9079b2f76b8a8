"""From what an importance estimate draws: the guide, the guide widened, or the guide refitted for each datum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pyro.distributions as dist
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import Distribution, Independent, TransformedDistribution, constraints
from torch.distributions.transforms import AffineTransform

from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.estimators import PROPOSALS
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.supports import family_of
from pyrovae.pairs.traces import Program, Site


def require_proposal(proposal: str, wider: float) -> None:
    """Raises UsageError for a proposal that there is not, or a scale that narrows."""
    if proposal not in PROPOSALS:
        raise UsageError(f"proposal = '{proposal}' is none of {', '.join(PROPOSALS)}")
    if not wider >= 1:
        raise UsageError(f"wider = {wider:g}: a proposal narrower than the guide misses mass, give 1 or more")


class Widened(Messenger):
    """Continuous sites of a guide have `wider` times their scale; discrete ones stay as they are."""

    def __init__(self, wider: float) -> None:
        super().__init__()
        self.wider = wider

    def _pyro_sample(self, msg: Site) -> None:
        if msg["is_observed"] or msg["done"] or site_is_subsample(cast(Any, msg)):
            return
        try:
            if not msg["fn"].support.is_discrete:
                msg["fn"] = widened(msg["fn"], self.wider)
        except NotImplementedError:
            raise PyrovaeError(
                f"site '{msg['name']}' is drawn from a {family_of(msg['fn'])}, which is not on the whole real line "
                f"or does not know its mean, so it cannot be widened: take {option('proposal', 'guide')} with more "
                f"samples, or {option('method', 'ais', python='ais', command='loglik')}"
            ) from None


def widened(q: Distribution, wider: float) -> Distribution:
    """A distribution with `wider` times its scale: around its mean, and at the base of a flow.

    Raises NotImplementedError where the mean is not known, or the support is not the real line.
    """
    if isinstance(q, Independent):
        return dist.Independent(widened(q.base_dist, wider), q.reinterpreted_batch_ndims)
    if isinstance(q, dist.MaskedDistribution):
        return dist.MaskedDistribution(widened(q.base_dist, wider), q._mask)
    if isinstance(q, TransformedDistribution):
        # |z| of a wider z is that of half its density, and is not scored as such.
        if not all(transform.bijective for transform in q.transforms):
            raise NotImplementedError
        of_base: Distribution = dist.TransformedDistribution(widened(q.base_dist, wider), q.transforms)
        return of_base
    support = q.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is not constraints.real:
        raise NotImplementedError
    wide: Distribution = dist.TransformedDistribution(
        q, [AffineTransform((1 - wider) * q.mean, wider, event_dim=len(q.event_shape))]
    )
    return wide


def widening(wider: float) -> Callable[[Pair], Program]:
    """The guide of a pair with `wider` times its scale, of any pair."""
    return lambda pair: wide(pair.guide, wider)


def wide(guide: Program, wider: float) -> Program:
    """A guide with `wider` times its scale."""

    def program(*batch: Tensor) -> object:
        with Widened(wider):
            return guide(*batch)

    return program
