"""Likelihoods: h -> p(x | h), one family a file."""

from pyrovae.likelihoods.bernoulli import Bernoulli
from pyrovae.likelihoods.choose import LikelihoodConfig, likelihood
from pyrovae.likelihoods.normal import Normal
from pyrovae.likelihoods.tokens import Autoregressive

__all__ = ["Autoregressive", "Bernoulli", "LikelihoodConfig", "Normal", "likelihood"]
