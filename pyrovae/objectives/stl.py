"""The ELBO, without the score of the guide in its gradient."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.objectives.elbo import (
    KL_TERM,
    Free,
    Terms,
    negative_elbo,
    refuse_contradictions,
    refuse_enumerated,
    require_trainable,
)
from pyrovae.objectives.pathwise import pathwise, require_repeatable
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair


class STL(nn.Module):
    """The ELBO, whose gradient of the guide goes through the samples alone ("sticking the landing").

    The score, the gradient of log q(z | x) in the guide's parameters at a fixed z, has mean 0 and is left out. What is
    left has no noise where q is the posterior. Terms are those of `ELBO`; particles are averaged. With free bits or
    free nats, what is left out has mean 0 but for batches whose rate crosses the clamp from draw to draw.

    Geoffrey Roeder, Yuhuai Wu, David Duvenaud: Sticking the Landing: Simple, Lower-Variance Gradient Estimators for
    Variational Inference. NeurIPS 2017.

    Args:
        pair: what is trained; its guide is scored at values that it did not draw, which costs an IAF one pass a dim.
        particles: K; None is one draw without a particle plate.
        free_bits: see ELBO.
        free_nats: see ELBO.
    """

    takes: ClassVar = KL_TERM

    def __init__(
        self, pair: Pair, particles: int | None = None, free_bits: float = 0.0, free_nats: float = 0.0
    ) -> None:
        super().__init__()
        self.pair = pair
        self.particles = particles
        self.free = Free(free_bits, free_nats)

    @classmethod
    def refuse(cls, config: TrainConfig) -> None:
        """See `pyrovae.objectives`."""
        if config.kl == "analytic":
            raise UsageError(
                f"{option('objective', 'stl')} leaves out the score of log q(z), and a closed-form KL has none: "
                f"set {option('kl')} to sampled, or take {option('objective', 'elbo')}"
            )
        refuse_contradictions(config)

    @classmethod
    def build(cls, pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> "STL":
        """See `pyrovae.objectives`."""
        found = require_trainable(pair, batch, config.free_bits, config.free_nats)
        if not found.latent:
            what = option("objective", "elbo")
            raise PyrovaeError(f"the pair has no latent site, so no score to leave out: take {what}")
        refuse_enumerated(found, option("objective", "stl"))
        require_repeatable(pair, batch, option("objective", "stl"))
        return cls(pair, config.particles if config.particles > 1 else None, config.free_bits, config.free_nats)

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """See ELBO."""
        p, q, _ = pathwise(self.pair, batch, self.particles)
        return negative_elbo(p, q, batch, kl_weight, fraction, self.free)
