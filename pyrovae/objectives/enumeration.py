"""Expectations over the discrete sites of a guide that are summed out, one term for each of their values."""

from __future__ import annotations

from torch import Tensor

from pyrovae.pairs.traces import Trace, sites


class Expectation:
    """E_q over the enumerated sites of a guide, exactly: sum_y q(y | x) f(y).

    Each enumerated site has a dim of its own, left of those of particles and data, in all that depends on it. What
    stands after it (z ~ q(z | x, y)) is drawn once for each value. Where nothing is enumerated, it changes nothing.

    Args:
        q: a trace of the guide from `pyrovae.pairs.traces.traces(..., enumerate=True)`, with its log_prob.
        plates: dims of particles and data: 1, or 2 with particles.
    """

    def __init__(self, q: Trace, plates: int) -> None:
        self.plates = plates
        # Neither masked nor scaled: a mask leaves a term of the ELBO out, and the probabilities as they are.
        log_q = [
            site["unscaled_log_prob"]
            for site in sites(q, observed=False).values()
            if site["infer"].get("_enumerate_dim") is not None
        ]
        self.weight = sum(log_q[1:], log_q[0]).exp() if log_q else None

    def __call__(self, value: Tensor, event_dims: int = 0) -> Tensor:
        """(*enumerated, *plates, *event) -> (*plates, *event); what depends on no enumerated site stays as it is."""
        extra = value.dim() - event_dims - self.plates
        if self.weight is None or extra <= 0:
            return value
        weight = self.weight.reshape(*self.weight.shape, *[1] * event_dims)
        found = weight * value
        summed: Tensor = found.sum(tuple(range(found.dim() - event_dims - self.plates)))
        return summed
