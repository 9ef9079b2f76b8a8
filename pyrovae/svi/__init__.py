"""Stochastic variational inference: objectives, schedules, and the optimisation step."""

from pyrovae.objectives.choose import objective
from pyrovae.objectives.elbo import ELBO, Terms, require_trainable
from pyrovae.objectives.iwae import IWAE, DReG
from pyrovae.objectives.renyi import Renyi
from pyrovae.objectives.stl import STL
from pyrovae.runtime.ranks import World, from_first, world
from pyrovae.svi.optimizer import Optimizer
from pyrovae.svi.pieces import not_additive
from pyrovae.svi.schedule import kl_weight, learning_rate
from pyrovae.svi.step import Step

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
