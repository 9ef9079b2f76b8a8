"""Scores of a trained pair, from its traces alone."""

from pyrovae.evaluation.diagnostics import Diagnostics, diagnose, posterior_moments
from pyrovae.evaluation.elbo import elbo
from pyrovae.evaluation.importance import LogLikelihood, log_likelihood

__all__ = ["Diagnostics", "LogLikelihood", "diagnose", "elbo", "log_likelihood", "posterior_moments"]
