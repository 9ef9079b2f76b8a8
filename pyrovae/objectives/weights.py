"""Importance weights of K draws, which the bounds of K samples are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError
from pyrovae.objectives.elbo import Terms, refuse_enumerated, require_trainable
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.structure import require_per_datum
from pyrovae.pairs.traces import Trace, sites


def weigh(p: Trace, q: Trace, batch: Sequence[Tensor], K: int) -> tuple[Tensor, Terms]:
    """log p - log q, (K, B), and the terms of the ELBO without its loss, which holds the factors of the guide alone."""
    zero = batch[0].new_zeros((), dtype=torch.get_default_dtype())
    shape = (K, first_dim(batch))
    observed = [site["log_prob"].expand(shape) for site in sites(p, observed=True).values()]
    latent, in_model = sites(q, observed=False), sites(p)
    rates = [(site["log_prob"] - in_model[name]["log_prob"]).expand(shape) for name, site in latent.items()]
    factors = sum((site["log_prob"].expand(shape).sum() / K for site in sites(q, observed=True).values()), zero)
    distortion = -sum(observed, zero.expand(shape))
    rate = sum(rates, zero.expand(shape))
    means = [(value.sum() / K).detach() for value in (-distortion - rate, rate, distortion)]
    return -distortion - rate, Terms(factors, *means)


def require_weights(pair: Pair, batch: Sequence[Tensor], what: str = "a bound of K samples") -> None:
    """Raises PyrovaeError where a bound of K samples would be wrong: without a weight of its own for each datum."""
    refuse_enumerated(require_trainable(pair, batch), what)
    found = require_per_datum(pair, batch, "a bound of K samples")
    if not found.latent:
        raise PyrovaeError("the pair has no latent site: train it by the ELBO, which is exact")
