"""Bernoulli for binary data, else Normal."""

from pyrovae.data.field import Field
from pyrovae.likelihoods.bernoulli import Bernoulli
from pyrovae.likelihoods.normal import Normal, Scale, Sigma


def auto(field: Field, at_mean: bool = True, scale: Scale = "learned", sigma: Sigma = 0.5) -> Bernoulli | Normal:
    """What fits the values of a field; `scale` and `sigma` are of a Normal."""
    return Bernoulli(field, at_mean) if field.kind == "binary" else Normal(field, scale, sigma, at_mean)
