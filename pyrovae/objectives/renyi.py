"""The variational Renyi bound of order `alpha`."""

import math
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from pyrovae.errors import UsageError, option
from pyrovae.objectives.elbo import Terms
from pyrovae.objectives.weights import require_weights, weigh
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import traces

NEAR = 1e-3
"""Orders closer to 1 than this are those of the ELBO: the bound is log K plus a small number, over a small number."""


class Renyi(nn.Module):
    """-1/(1 - alpha) log 1/K sum_k (p(x, z_k) / q(z_k | x))^(1 - alpha) for each datum, summed over the batch.

    alpha = 0 is the bound of IWAE, alpha towards 1 the ELBO; it falls with alpha. With many samples it is below
    log p(x) for alpha > 0 and above it for alpha < 0; towards minus infinity the largest weight is left, towards
    infinity the smallest. Terms are those of the ELBO (means over the K samples), but for the loss. `pyro.factor` in
    the guide is added to the loss and is no part of the weights.

    Yingzhen Li, Richard E. Turner: Renyi Divergence Variational Inference. NeurIPS 2016.

    Args:
        pair: what is trained.
        particles: K.
        alpha: the order, not 1.

    Raises:
        UsageError: for alpha = 1, or within `NEAR` of it.
    """

    least: ClassVar = 2
    takes: ClassVar = ("alpha",)

    def __init__(self, pair: Pair, particles: int, alpha: float) -> None:
        super().__init__()
        if abs(alpha - 1) < NEAR:
            what = option("objective", "elbo")
            raise UsageError(f"alpha = {alpha:g}, but the Renyi bound of order 1 is the ELBO: take {what}")
        self.pair = pair
        self.particles = particles
        self.alpha = alpha

    @classmethod
    def refuse(cls, config: TrainConfig) -> None:
        """See `pyrovae.objectives`."""
        if config.alpha is None:
            raise UsageError(
                f"{option('objective', 'renyi')} has an order: give {option('alpha')}, such as 0.5 (0 is iwae, "
                f"towards 1 the ELBO)"
            )

    @classmethod
    def build(cls, pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> "Renyi":
        """See `pyrovae.objectives`."""
        require_weights(pair, batch, option("objective", "renyi"))
        assert config.alpha is not None  # `refuse` has looked
        return cls(pair, config.particles, config.alpha)

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """`kl_weight` and `fraction` are those of the ELBO, and have no meaning here."""
        p, q = traces(self.pair, batch, self.particles)
        weight, terms = weigh(p, q, batch, self.particles)
        power = 1 - self.alpha
        bound = ((power * weight).logsumexp(0) - math.log(self.particles)) / power
        return terms._replace(loss=terms.loss - bound.sum())
