"""The importance-weighted bound of K samples, and its doubly reparametrized gradient."""

import math

from torch import Tensor, nn

from pyrovae.objectives.elbo import Terms
from pyrovae.objectives.pathwise import pathwise
from pyrovae.objectives.weights import weigh
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import traces


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
        K = self.particles
        p, q, z = pathwise(self.pair, batch, K)
        weight, terms = weigh(p, q, batch, K)
        share = weight.detach().softmax(0)
        for value in z.values():
            if value.requires_grad:
                value.register_hook(lambda g: g * share.reshape(*share.shape, *[1] * (g.dim() - 2)))
        bound = (weight.detach().logsumexp(0) - math.log(K)).sum()
        surrogate = (share * weight).sum()
        return terms._replace(loss=terms.loss - surrogate + (surrogate - bound).detach())
