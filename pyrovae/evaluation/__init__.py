"""Scores of a trained pair, from its traces alone."""

from pyrovae.evaluation.accuracy import Accuracy, accuracy
from pyrovae.evaluation.annealing.ais import AIS, ais
from pyrovae.evaluation.annealing.bdmc import Sandwich, bdmc
from pyrovae.evaluation.assumed import mixed, tried, trust
from pyrovae.evaluation.bootstrap import mean_interval
from pyrovae.evaluation.elbo import elbo
from pyrovae.evaluation.gap import Gap, gap
from pyrovae.evaluation.importance.estimate import LogLikelihood, log_likelihood
from pyrovae.evaluation.importance.over_ranks import log_likelihood_over_ranks
from pyrovae.evaluation.latents.aggregate import Aggregate, aggregate
from pyrovae.evaluation.latents.diagnosis import Findings, diagnosis, unused_of
from pyrovae.evaluation.latents.diagnosis import Findings as Figures  # its name before
from pyrovae.evaluation.latents.information import Information, mutual_information
from pyrovae.evaluation.latents.rates import Diagnostics, diagnose, posterior_moments
from pyrovae.evaluation.latents.swap import Swap, swap_loss
from pyrovae.evaluation.latents.usage import Usage, usage
from pyrovae.evaluation.per_datum import PerDatum, elbo_per_datum
from pyrovae.evaluation.posterior import Posterior, posteriors, two_dimensional
from pyrovae.evaluation.refitting.refit import Refitted, refit

__all__ = [
    "AIS",
    "Accuracy",
    "Aggregate",
    "Diagnostics",
    "Figures",
    "Findings",
    "Gap",
    "Information",
    "LogLikelihood",
    "PerDatum",
    "Posterior",
    "Refitted",
    "Sandwich",
    "Swap",
    "Usage",
    "accuracy",
    "aggregate",
    "ais",
    "bdmc",
    "diagnose",
    "diagnosis",
    "elbo",
    "elbo_per_datum",
    "gap",
    "log_likelihood",
    "log_likelihood_over_ranks",
    "mean_interval",
    "mixed",
    "mutual_information",
    "posterior_moments",
    "posteriors",
    "refit",
    "swap_loss",
    "tried",
    "trust",
    "two_dimensional",
    "unused_of",
    "usage",
]
