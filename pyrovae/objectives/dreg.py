"""The bound of iwae, with its doubly reparametrized gradient."""

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from pyrovae.errors import option
from pyrovae.objectives.elbo import Terms
from pyrovae.objectives.pathwise import pathwise, require_repeatable
from pyrovae.objectives.weights import require_weights, weigh
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair


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

    least: ClassVar = 2

    def __init__(self, pair: Pair, particles: int) -> None:
        super().__init__()
        self.pair = pair
        self.particles = particles

    @classmethod
    def build(cls, pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> "DReG":
        """See `pyrovae.objectives`."""
        require_weights(pair, batch, option("objective", "dreg"))
        require_repeatable(pair, batch, option("objective", "dreg"))
        return cls(pair, config.particles)

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """`kl_weight` and `fraction` are those of the ELBO, and have no meaning here."""
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
