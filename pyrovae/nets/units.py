"""Vectors in units of their own: less the training mean, over the training deviation, column by column."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyrovae.data.field import Field

CONSTANT = 1e-7
"""Deviation over mean up to which a column is constant, as float32 tells no other numbers apart: its unit stays 1."""

LEAST, MOST = 1e-30, 1e30
"""Between these lies a unit, so that float32 holds it, its inverse and the square of what is measured in it."""


class Standard(nn.Module):
    """u = (x - loc) / scale, (*L, D) -> (*L, D), and back.

    Both are buffers: they are saved with the weights, and a pair that is loaded needs no training data for them.

    Args:
        field: of a vector, with the mean and deviation of the training data; without them, as where weights are loaded
            later, u is x.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, field: Field) -> None:
        super().__init__()
        loc, scale = torch.zeros(field.shape), torch.ones(field.shape)
        if field.mean is not None and field.deviation is not None:
            loc, deviation = field.mean.float(), field.deviation.float()
            scale = torch.where(deviation > CONSTANT * loc.abs(), deviation.clamp(LEAST, MOST), scale)
        self.register_buffer("loc", loc.clone())
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    def inverse(self, u: Tensor) -> Tensor:
        """x = loc + scale u."""
        return self.loc + self.scale * u


def standard(field: Field) -> Standard | None:
    """The units of a field that is standardised; None of others."""
    return Standard(field) if field.standardized else None
