"""Bernoulli on logits, of binary data."""

from typing import NoReturn

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.data.field import Field
from pyrovae.errors import UsageError, option


class Shares(constraints.Constraint):
    """Values between 0 and 1 that are scored as 0 and 1 are: by a probability, not by a density."""

    is_discrete = True
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0) & (value <= 1)


class CrossEntropy(dist.Bernoulli):  # type: ignore[misc]  # Pyro has no types
    """Bernoulli's formula where it is asked for on values between 0 and 1."""

    support = Shares()
    normalised = False


class Bernoulli(nn.Module):
    """p(x | h) = prod_d sigmoid(h_d)^x_d (1 - sigmoid(h_d))^(1 - x_d), (*L, *shape) -> batch shape L.

    On values between 0 and 1 the same formula is a cross-entropy, no log-probability: the constructor of a pair lets
    it through only where the user asked for `likelihood="bce"`.

    Args:
        field: what is generated.
        at_mean: whether `bias` is the training mean, or none.
    """

    outputs = 1

    def __init__(self, field: Field, at_mean: bool = True) -> None:
        super().__init__()
        self.at_mean = at_mean
        self.dims = len(field.shape)
        self.binary = field.kind == "binary"

    def forward(self, h: Tensor, mask: Tensor | None = None) -> dist.TorchDistribution:
        """`mask`, of the event's shape, says which dims are scored; None is all."""
        pixels = dist.Bernoulli(logits=h) if self.binary else CrossEntropy(logits=h)
        p: dist.TorchDistribution = (pixels if mask is None else pixels.mask(mask)).to_event(self.dims)
        return p

    def bias(self, field: Field) -> Tensor | None:
        """Logits of the training mean, clipped to [0.001, 0.999] (Burda, Grosse & Salakhutdinov 2016)."""
        return None if field.mean is None or not self.at_mean else torch.logit(field.mean.float(), eps=1e-3)


def bernoulli(field: Field, at_mean: bool = True) -> Bernoulli:
    """The likelihood of binary data; raises UsageError for others."""
    if field.kind != "binary":
        refuse(field)
    return Bernoulli(field, at_mean)


def refuse(field: Field) -> NoReturn:
    """Raises UsageError, which says what to take for data that are not binary."""
    values = "grayscale (values between 0 and 1)" if field.kind == "unit" else "real numbers"
    raise UsageError(
        f"a Bernoulli scores binary data, and these are {values}: "
        f"binarize them ({option('binarize')} dynamic|static|threshold) or take {option('likelihood', 'normal')}; "
        f"{option('likelihood', 'bce')} is the cross-entropy of grayscale, which is no likelihood"
    )
