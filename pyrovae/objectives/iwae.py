"""The importance-weighted bound of `particles` samples."""

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from pyrovae.errors import option
from pyrovae.objectives.elbo import Terms
from pyrovae.objectives.weights import require_weights, weigh
from pyrovae.options import TrainConfig
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

    least: ClassVar = 2

    def __init__(self, pair: Pair, particles: int) -> None:
        super().__init__()
        self.pair = pair
        self.particles = particles

    @classmethod
    def build(cls, pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> "IWAE":
        """See `pyrovae.objectives`."""
        require_weights(pair, batch, option("objective", "iwae"))
        return cls(pair, config.particles)

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """`kl_weight` and `fraction` are those of the ELBO, and have no meaning here."""
        p, q = traces(self.pair, batch, self.particles)
        weight, terms = weigh(p, q, batch, self.particles)
        bound = weight.logsumexp(0) - math.log(self.particles)
        return terms._replace(loss=terms.loss - bound.sum())
