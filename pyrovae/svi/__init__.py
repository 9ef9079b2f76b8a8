"""Stochastic variational inference: objectives, schedules, and the optimisation step."""

from pyrovae.svi.elbo import ELBO, Terms, require_trainable
from pyrovae.svi.iwae import IWAE, DReG
from pyrovae.svi.objective import objective
from pyrovae.svi.optimizer import Optimizer
from pyrovae.svi.schedule import kl_weight, learning_rate
from pyrovae.svi.step import Step

__all__ = [
    "ELBO",
    "IWAE",
    "DReG",
    "Optimizer",
    "Step",
    "Terms",
    "kl_weight",
    "learning_rate",
    "objective",
    "require_trainable",
]
