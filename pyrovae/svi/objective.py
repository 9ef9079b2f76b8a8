"""The objective that options of training ask for."""

from collections.abc import Sequence

from torch import Tensor

from pyrovae.errors import UsageError
from pyrovae.options import TrainConfig
from pyrovae.pair import Pair
from pyrovae.svi.elbo import ELBO, require_trainable
from pyrovae.svi.iwae import IWAE, DReG, require_weights


def objective(pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> ELBO | IWAE | DReG:
    """What is minimised, once the pair is known to be trained rightly by it.

    Raises:
        PyrovaeError: where it would be wrong for the sites of the pair.
        UsageError: where options contradict each other.
    """
    if config.objective == "elbo":
        require_trainable(pair, batch, config.free_bits)
        return ELBO(pair, config.particles if config.particles > 1 else None, config.free_bits)
    if config.particles < 2:
        raise UsageError(f"--objective {config.objective} is a bound of K samples: give --particles 2 or more")
    for name, neutral in (("beta", 1.0), ("kl_warmup", 0.0), ("free_bits", 0.0)):
        if getattr(config, name) != neutral:
            raise UsageError(
                f"--objective {config.objective} has no KL term to weigh: set --{name.replace('_', '-')} to {neutral:g}"
            )
    require_weights(pair, batch)
    return (IWAE if config.objective == "iwae" else DReG)(pair, config.particles)
