"""The objective that options of training ask for; it knows none by name."""

from collections.abc import Sequence

from torch import Tensor, nn

from pyrovae.errors import UsageError, option
from pyrovae.options import OF_OBJECTIVES, TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import apart
from pyrovae.registry.bounds import Bound, bound


def objective(pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> nn.Module:
    """What is minimised, once the pair is known to be trained rightly by it.

    Args:
        pair: what is trained.
        batch: some data, which the sites of the pair are looked at with.
        config: the objective's spec, and the options of training that it is built from.

    Raises:
        PyrovaeError: where it would be wrong for the sites of the pair.
        UsageError: where there is no such objective, or options contradict each other or have no effect.
    """
    found = bound(config.objective)
    refuse(found, config)
    if config.aggressive:
        apart(pair)
    return found.build(pair, batch, config)


def refuse(found: Bound, config: TrainConfig) -> None:
    """Raises UsageError for the first option that does not go with the objective, or with another option."""
    if config.particles < found.least:
        what, least = option("objective", found.name), option("particles", found.least)
        raise UsageError(f"{what} is a bound of K samples: give {least} or more")
    for name, sentence in OF_OBJECTIVES.items():
        neutral = TrainConfig.model_fields[name].default
        # A default of the variant is no demand, and nothing here.
        if name in found.takes or name not in config.model_fields_set or getattr(config, name) == neutral:
            continue
        raise UsageError(
            sentence(name, found.name, f"{neutral:g}" if isinstance(neutral, int | float) else str(neutral))
        )
    found.refuse(config)
