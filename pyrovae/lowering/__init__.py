"""Pyro once, torch afterwards: functions of tensors traced through Pyro's handlers, verified, and compiled."""

from pyrovae.lowering.capture import Captured
from pyrovae.lowering.engine import Engine, lower
from pyrovae.lowering.graph import CannotLowerError, Lowered, slots

__all__ = ["CannotLowerError", "Captured", "Engine", "Lowered", "lower", "slots"]
