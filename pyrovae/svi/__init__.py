"""Stochastic variational inference: objectives, schedules, and the optimisation step."""

from pyrovae.svi.elbo import ELBO, Terms, require_trainable
from pyrovae.svi.iwae import IWAE, DReG
from pyrovae.svi.objective import objective
from pyrovae.svi.optimizer import Optimizer
from pyrovae.svi.renyi import Renyi
from pyrovae.svi.schedule import kl_weight, learning_rate
from pyrovae.svi.step import Step
from pyrovae.svi.stl import STL

__all__ = [
    "ELBO",
    "IWAE",
    "STL",
    "DReG",
    "Optimizer",
    "Renyi",
    "Step",
    "Terms",
    "kl_weight",
    "learning_rate",
    "objective",
    "require_trainable",
]
