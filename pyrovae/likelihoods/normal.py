"""Normal with a fixed scale, one learned scale, or a scale for each dim from the decoder."""

import math
from typing import Annotated, Literal

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from torch import Tensor, nn
from torch.nn.functional import softplus

from pyrovae.data.field import Field
from pyrovae.likelihoods.scaled import ScaledNormal
from pyrovae.nets.units import standard

Scale = Annotated[
    Literal["learned", "fixed", "pixel"],
    Option(description="scale of a Normal: one learned, fixed at --sigma, or one a pixel"),
]
Sigma = Annotated[float, Option(gt=0, le=1e6, description="where the scale of a Normal starts, or stays")]
SMALLEST = 1e-3


class Normal(nn.Module):
    """p(x | h) = prod_d N(x_d; mean_d, sigma_d), (*L, outputs * shape[0], ...) -> batch shape L.

    Of a field that is standardised h gives mean and sigma in units of each dim's training deviation around its training
    mean; x, and the density, are in the units of the data.

    A dim that is constant in the data has unbounded density under a scale that is learned, so scales stay above 0.001.

    Args:
        field: what is generated.
        scale: `fixed`: sigma stays as given; `learned`: one sigma for all dims, a parameter that starts there;
            `pixel`: the decoder gives one for each dim, that starts there.
        sigma: the scale, in the units of the data, or of each dim where it is standardised and the scale not fixed.
        at_mean: whether `bias` is the training mean, or none.
    """

    offset: Tensor
    sigma: Tensor

    def __init__(self, field: Field, scale: Scale = "learned", sigma: Sigma = 0.5, at_mean: bool = True) -> None:
        super().__init__()
        self.at_mean = at_mean
        self.dims = len(field.shape)
        self.outputs = 2 if scale == "pixel" else 1
        start = max(sigma - SMALLEST, 1e-6)
        raw = torch.tensor(start + math.log(-math.expm1(-start)))  # the inverse of softplus, which never overflows
        self.raw = nn.Parameter(raw.clone()) if scale == "learned" else None
        self.register_buffer("offset", raw)
        self.register_buffer("sigma", torch.tensor(float(sigma)))
        self.scale = scale
        self.standard = standard(field)

    def forward(self, h: Tensor, mask: Tensor | None = None) -> dist.TorchDistribution:
        """`mask`, of the event's shape, says which dims are scored; None is all."""
        loc = h
        if self.scale == "pixel":
            loc, raw = h.chunk(2, dim=-self.dims)
            sigma = SMALLEST + softplus(raw + self.offset)
        else:
            sigma = self.sigma if self.raw is None else SMALLEST + softplus(self.raw)
        if self.standard is None:
            pixels = dist.Normal(loc, sigma.expand_as(loc))
        else:
            sigma = sigma / self.standard.scale if self.scale == "fixed" else sigma
            pixels = ScaledNormal(loc, sigma.expand_as(loc), self.standard.loc, self.standard.scale)
        p: dist.TorchDistribution = (pixels if mask is None else pixels.mask(mask)).to_event(self.dims)
        return p

    def bias(self, field: Field) -> Tensor | None:
        """The training mean (and no change of scale)."""
        if self.standard is not None:
            mean = torch.zeros(field.shape) if self.at_mean else self.standard(torch.zeros(field.shape))
        elif field.mean is None or not self.at_mean:
            return None
        else:
            mean = field.mean.float()
        return torch.cat([mean, torch.zeros_like(mean)]) if self.outputs == 2 else mean
