"""Bernoulli's formula on grayscale, which is no likelihood."""

from pyrovae.data.field import Field
from pyrovae.likelihoods.bernoulli import Bernoulli, refuse


def bce(field: Field, at_mean: bool = True) -> Bernoulli:
    """The cross-entropy of values between 0 and 1; raises UsageError for real numbers."""
    if field.kind == "real":
        refuse(field)
    return Bernoulli(field, at_mean)
