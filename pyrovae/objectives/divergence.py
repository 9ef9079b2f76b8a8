"""KL(q || p) in closed form, where one is known."""

from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    kl_divergence,
)


def divergence(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) in nats, of their batch shape; None where no closed form is known.

    To what torch and Pyro have registered comes a Gaussian of any covariance against a diagonal one, which is every
    pair with the guide `full` or `lowrank` and a standard normal prior.
    """
    if (
        isinstance(q, MultivariateNormal | LowRankMultivariateNormal)
        and isinstance(p, Independent)
        and isinstance(p.base_dist, Normal)
        and len(p.event_shape) == 1
    ):
        # E_q[log p(z)] asks for mean and variances of q alone.
        cross = p.log_prob(q.mean) - 0.5 * (q.variance / p.variance).sum(-1)
        kl: Tensor = -q.entropy() - cross  # type: ignore[no-untyped-call]
        return kl
    try:
        return kl_divergence(q, p)
    except NotImplementedError:
        return None


def base(distribution: Distribution) -> Distribution:
    """What is left of a distribution without `to_event`."""
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    return distribution


def called(distribution: Distribution) -> str:
    """What an error calls a distribution: `Normal`, `flow of Normal`."""
    inner = base(distribution)
    if type(inner).__name__ == "TransformedDistribution":  # not a LogNormal, which has a name of its own
        assert isinstance(inner, TransformedDistribution)
        return f"flow of {called(inner.base_dist)}"
    return type(inner).__name__
