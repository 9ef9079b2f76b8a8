"""Stochastic variational inference: objectives, schedules, and the optimisation step."""

from pyrovae.runtime.ranks import World, from_first, world
from pyrovae.svi.elbo import ELBO, Terms, require_trainable
from pyrovae.svi.iwae import IWAE, DReG
from pyrovae.svi.objective import objective
from pyrovae.svi.optimizer import Optimizer
from pyrovae.svi.renyi import Renyi
from pyrovae.svi.schedule import kl_weight, learning_rate
from pyrovae.svi.step import Step, not_additive
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
    "World",
    "from_first",
    "kl_weight",
    "learning_rate",
    "not_additive",
    "objective",
    "require_trainable",
    "world",
]
