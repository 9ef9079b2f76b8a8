"""Scores of a trained pair, from its traces alone."""

from pyrovae.evaluation.ais import AIS, ais
from pyrovae.evaluation.bdmc import Sandwich, bdmc
from pyrovae.evaluation.diagnostics import Diagnostics, diagnose, posterior_moments
from pyrovae.evaluation.elbo import elbo
from pyrovae.evaluation.importance import LogLikelihood, log_likelihood

__all__ = [
    "AIS",
    "Diagnostics",
    "LogLikelihood",
    "Sandwich",
    "ais",
    "bdmc",
    "diagnose",
    "elbo",
    "log_likelihood",
    "posterior_moments",
]
