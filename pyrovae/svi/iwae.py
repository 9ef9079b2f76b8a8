"""The importance-weighted bound of K samples, and its doubly reparametrized gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pyro import poutine
from torch import Tensor, nn
from torch.func import functional_call

from pyrovae.errors import PyrovaeError
from pyrovae.lowering import slots
from pyrovae.pair import Pair, first_dim
from pyrovae.svi.elbo import Terms, require_trainable
from pyrovae.traces import Fixed, Trace, draw, particles, require_per_datum, sites, traces


class IWAE(nn.Module):
    """-log 1/K sum_k p(x, z_k) / q(z_k | x) for each datum, summed over the batch, with z_k ~ q.

    Terms are those of the ELBO (means over the K samples), but for the loss. `pyro.factor` in the guide is added to the
    loss and is no part of the weights.

    Yuri Burda, Roger Grosse, Ruslan Salakhutdinov: Importance Weighted Autoencoders. ICLR 2016.

    Args:
        pair: what is trained.
        particles: K.
    """

    def __init__(self, pair: Pair, particles: int) -> None:
        super().__init__()
        self.pair = pair
        self.particles = particles

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """`kl_weight` and `fraction` are those of the ELBO, and have no meaning here."""
        p, q = traces(self.pair, batch, self.particles)
        weight, terms = weigh(p, q, batch, self.particles)
        bound = weight.logsumexp(0) - math.log(self.particles)
        return terms._replace(loss=terms.loss - bound.sum())


class DReG(nn.Module):
    """The bound of `IWAE` with the doubly reparametrized gradient of the guide, of lower variance.

    The gradient of the guide goes through the samples alone, each with the square of its share in the weights; that of
    the model is the one of IWAE.

    George Tucker, Dieterich Lawson, Shixiang Gu, Chris Maddison: Doubly Reparameterized Gradient Estimators for Monte
    Carlo Objectives. ICLR 2019.

    Args:
        pair: what is trained; its guide is scored at values that it did not draw, which costs an IAF one pass a dim.
        particles: K.
    """

    def __init__(self, pair: Pair, particles: int) -> None:
        super().__init__()
        self.pair = pair
        self.particles = particles

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """See IWAE."""
        guide, K = self.pair.guide, self.particles
        drawn = sites(draw(particles(guide, K), batch), observed=False)
        # A hook on a view scales what comes back from the scores, once, also where one latent is drawn from another.
        z = {name: site["value"].view_as(site["value"]) for name, site in drawn.items()}
        stopped = {name: owner[key].detach() for name, (owner, key) in slots(guide).items()}

        def frozen(*batch: Tensor) -> None:
            functional_call(guide, stopped, batch, tie_weights=False)

        q = poutine.trace(Fixed(z)(particles(frozen, K))).get_trace(*batch)
        p = poutine.trace(Fixed(z)(particles(self.pair.model, K))).get_trace(*batch)
        p.compute_log_prob()
        q.compute_log_prob()
        weight, terms = weigh(p, q, batch, K)
        share = weight.detach().softmax(0)
        for value in z.values():
            if value.requires_grad:
                value.register_hook(lambda g: g * share.reshape(*share.shape, *[1] * (g.dim() - 2)))
        bound = (weight.detach().logsumexp(0) - math.log(K)).sum()
        surrogate = (share * weight).sum()
        return terms._replace(loss=terms.loss - surrogate + (surrogate - bound).detach())


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


def require_weights(pair: Pair, batch: Sequence[Tensor]) -> None:
    """Raises PyrovaeError where a bound of K samples would be wrong: without a weight of its own for each datum."""
    require_trainable(pair, batch)
    found = require_per_datum(pair, batch, "a bound of K samples")
    if not found.latent:
        raise PyrovaeError("the pair has no latent site: train it by the ELBO, which is exact")
