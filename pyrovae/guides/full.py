"""Gaussian with a full covariance matrix."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pyrovae.flows.gaussians import MultivariateNormal
from pyrovae.flows.scale import positive
from pyrovae.nets.mlp import linear


class Full(nn.Module):
    """q(z | h) = N(mu, L L'), L lower triangular with a positive diagonal, all from h."""

    places: Tensor

    def __init__(self, context: int, features: int) -> None:
        super().__init__()
        self.loc = linear(context, features)
        self.raw = linear(context, features)
        rows, columns = torch.tril_indices(features, features, offset=-1)
        self.below = linear(context, len(rows)) if len(rows) else None
        # Which of the entries (0, *below(h)) stands where: read, not written in place, which vmap would refuse.
        places = torch.zeros(features, features, dtype=torch.long)
        places[rows, columns] = torch.arange(1, len(rows) + 1)
        self.register_buffer("places", places.flatten(), persistent=False)

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        loc = self.loc(h)
        tril = positive(self.raw(h)).diag_embed()
        if self.below is not None:
            below = pad(0.1 * self.below(h), (1, 0)).index_select(-1, self.places)
            tril = tril + below.view(tril.shape)
        return MultivariateNormal(loc, scale_tril=tril)
