"""Gaussian with a full covariance matrix."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pyrovae.guides.diagonal import UNIT
from pyrovae.nets.mlp import linear


class Full(nn.Module):
    """q(z | h) = N(mu, L L'), L lower triangular with a positive diagonal, all from h."""

    rows: Tensor
    columns: Tensor

    def __init__(self, context: int, features: int) -> None:
        super().__init__()
        self.loc = linear(context, features)
        self.raw = linear(context, features)
        rows, columns = torch.tril_indices(features, features, offset=-1)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.below = linear(context, len(rows)) if len(rows) else None

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        tril = softplus(self.raw(h) + UNIT).diag_embed()
        if self.below is not None:
            below = torch.zeros_like(tril)
            below[..., self.rows, self.columns] = 0.1 * self.below(h)
            tril = tril + below
        return dist.MultivariateNormal(self.loc(h), scale_tril=tril)
