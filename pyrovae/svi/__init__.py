"""Steps of stochastic variational inference and their schedules; what is minimised is `pyrovae.objectives`."""

from pyrovae.svi.optimizer import Optimizer
from pyrovae.svi.pieces import not_additive
from pyrovae.svi.schedule import kl_weight, learning_rate
from pyrovae.svi.step import Step

__all__ = ["Optimizer", "Step", "kl_weight", "learning_rate", "not_additive"]
