"""The objective that options of training ask for."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.objectives.divergence import called, divergence
from pyrovae.objectives.elbo import ELBO, refuse_enumerated, require_trainable
from pyrovae.objectives.iwae import IWAE, DReG
from pyrovae.objectives.pathwise import require_repeatable
from pyrovae.objectives.renyi import Renyi
from pyrovae.objectives.stl import STL
from pyrovae.objectives.terms import closed_form
from pyrovae.objectives.weights import require_weights
from pyrovae.options import TrainConfig
from pyrovae.pairs.modes import evaluating, unvalidated
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import apart
from pyrovae.pairs.traces import sites, traces
from pyrovae.runtime.seeding import seeded

Objective = ELBO | STL | IWAE | DReG | Renyi

NEUTRAL = {
    "beta": 1.0,
    "kl_warmup": 0.0,
    "kl_start": 0.0,
    "kl_cycles": 1,
    "free_bits": 0.0,
    "free_nats": 0.0,
    "kl": "sampled",
}
"""Options of the KL term, and where each of them changes nothing."""


def objective(pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> Objective:
    """What is minimised, once the pair is known to be trained rightly by it.

    Raises:
        PyrovaeError: where it would be wrong for the sites of the pair.
        UsageError: where options contradict each other, or have no effect.
    """
    refuse(config)
    if config.aggressive:
        apart(pair)
    K = config.particles
    if config.objective in ("elbo", "stl"):
        found = require_trainable(pair, batch, config.free_bits, config.free_nats)
        draws = K if K > 1 else None
        if config.objective == "stl":
            if not found.latent:
                raise PyrovaeError("the pair has no latent site, so no score to leave out: take --objective elbo")
            refuse_enumerated(found, "--objective stl")
            require_repeatable(pair, batch, "--objective stl")
            return STL(pair, draws, config.free_bits, config.free_nats)
        if config.kl == "analytic":
            require_closed_form(pair, batch)
        return ELBO(pair, draws, config.free_bits, config.free_nats, config.kl)
    require_weights(pair, batch, f"--objective {config.objective}")
    if config.objective == "iwae":
        return IWAE(pair, K)
    if config.objective == "dreg":
        require_repeatable(pair, batch, "--objective dreg")
        return DReG(pair, K)
    assert config.alpha is not None
    return Renyi(pair, K, config.alpha)


def refuse(config: TrainConfig) -> None:
    """Raises UsageError for the first option that does not go with the objective, or with another option."""
    name = config.objective
    of_the_elbo = name in ("elbo", "stl")
    if not of_the_elbo and config.particles < 2:
        raise UsageError(f"--objective {name} is a bound of K samples: give --particles 2 or more")
    for option, neutral in NEUTRAL.items():
        # A default of the variant is no demand, and nothing here.
        asked = option in config.model_fields_set and getattr(config, option) != neutral
        if not of_the_elbo and asked:
            raise UsageError(
                f"--objective {name} has no KL term to weigh: set --{option.replace('_', '-')} to "
                f"{neutral if isinstance(neutral, str) else f'{neutral:g}'}"
            )
    if name == "renyi" and config.alpha is None:
        raise UsageError("--objective renyi has an order: give --alpha, such as 0.5 (0 is iwae, towards 1 the ELBO)")
    if name != "renyi" and config.alpha is not None:
        raise UsageError(f"--alpha is the order of --objective renyi, not of {name}: leave it out")
    if name == "stl" and config.kl == "analytic":
        raise UsageError(
            "--objective stl leaves out the score of log q(z), and a closed-form KL has none: set --kl to sampled, or "
            "take --objective elbo"
        )
    if config.free_bits and config.free_nats:
        raise UsageError("--free-bits counts each dimension and --free-nats all of them together: set one of them to 0")
    if config.kl_cycles > 1 and not config.kl_warmup:
        raise UsageError(
            f"--kl-cycles {config.kl_cycles} repeats the KL warm-up, and there is none: give --kl-warmup, the epochs "
            f"of each cycle in which the KL weight grows"
        )
    if config.kl_start and not config.kl_warmup:
        raise UsageError(
            f"--kl-start {config.kl_start:g} is where the KL warm-up starts, and there is none: give --kl-warmup, the "
            f"epochs in which the KL weight grows"
        )


def require_closed_form(pair: Pair, batch: Sequence[Tensor]) -> None:
    """Raises UsageError where no latent site of the pair has a KL in closed form, with the reason for each.

    Leaves torch's generator as it was.
    """
    with torch.no_grad(), unvalidated(), evaluating(pair), seeded(0, batch[0].device):
        p, q = traces(pair, batch)
        latent, prior, allowed = sites(q, observed=False), sites(p, observed=False), closed_form(p, q)
        known = {name: divergence(latent[name]["fn"], prior[name]["fn"]) is not None for name in allowed}
    if any(known.values()):
        return
    drawn, written, reasons = list(latent), list(prior), []
    for name, site in latent.items():
        why = f"{called(site['fn'])} against {called(prior[name]['fn'])}"
        if name not in allowed:
            late = sorted(set(written[: written.index(name)]) - set(drawn[: drawn.index(name)]))
            why = f"its prior may depend on {late}, which the guide draws after it"
        reasons.append(f"site '{name}' ({why})")
    if not reasons:
        raise UsageError("the pair has no latent site, so no KL term: take --kl sampled")
    raise UsageError(f"the pair has no closed-form KL for {' and '.join(reasons)}: take --kl sampled")
