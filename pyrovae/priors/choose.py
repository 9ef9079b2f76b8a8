"""The prior that an option names."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field as Option
from torch import Tensor
from torch.distributions import Distribution

from pyrovae.config import Config
from pyrovae.data.field import Field
from pyrovae.priors.flow import FlowPrior
from pyrovae.priors.standard import StandardNormal
from pyrovae.priors.vamp import VampPrior

SPREAD = 0.01
"""Standard deviation of the pseudo-inputs around the mean of the data when training starts, as in the paper."""

INSIDE = 0.05
"""How far from 0 and 1 that mean is kept: beyond these a pseudo-input has no gradient."""


class PriorConfig(Config):
    """Options of a variant whose p(z) may be learned."""

    prior: Literal["standard", "vamp", "flow"] = Option(
        "standard",
        description="p(z): N(0, I); the guide's mixture over pseudo-inputs (VampPrior); or a flow on N(0, I)",
    )
    pseudo_inputs: int = Option(500, ge=1, le=10**6, description="components of --prior vamp")
    prior_steps: int = Option(4, ge=1, le=10**3, description="couplings of --prior flow")
    prior_hidden: int = Option(64, ge=1, description="width of the layers of --prior flow")


def prior(
    config: PriorConfig, features: int, posterior: Callable[[Tensor], Distribution], of: Field | int
) -> StandardNormal | VampPrior | FlowPrior:
    """The module p(z).

    Args:
        config: which one.
        features: dimensions of z.
        posterior: of the guide, what `of` describes -> q(z | .).
        of: what pseudo-inputs look like: a field of the data, or dimensions of the latent below z.
    """
    if config.prior == "vamp":
        count = config.pseudo_inputs
        if isinstance(of, int):
            return VampPrior(posterior, torch.randn(count, of), unit=False)
        unit = of.kind in ("binary", "unit")
        mean = torch.zeros(of.shape) if of.mean is None else of.mean.float()
        mean = mean.clamp(INSIDE, 1 - INSIDE) if unit else mean
        return VampPrior(posterior, mean + SPREAD * torch.randn(count, *of.shape), unit)
    if config.prior == "flow":
        return FlowPrior(features, config.prior_steps, config.prior_hidden)
    return StandardNormal(features)
