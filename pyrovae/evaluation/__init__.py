"""Scores of a trained pair, from its traces alone."""

from pyrovae.evaluation.ais import AIS, ais
from pyrovae.evaluation.bdmc import Sandwich, bdmc
from pyrovae.evaluation.diagnostics import Diagnostics, diagnose, posterior_moments
from pyrovae.evaluation.elbo import elbo
from pyrovae.evaluation.gap import Gap, gap
from pyrovae.evaluation.importance import LogLikelihood, log_likelihood
from pyrovae.evaluation.refit import Refitted, refit

__all__ = [
    "AIS",
    "Diagnostics",
    "Gap",
    "LogLikelihood",
    "Refitted",
    "Sandwich",
    "ais",
    "bdmc",
    "diagnose",
    "elbo",
    "gap",
    "log_likelihood",
    "posterior_moments",
    "refit",
]
