"""The standard normal, N(0, I)."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn


class StandardNormal(nn.Module):
    """p(z) = N(0, I); `forward()` gives a distribution of event shape (features,)."""

    zero: Tensor
    one: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        # Buffers, so that the prior follows the pair to its device and dtype; not saved, they are constants.
        self.register_buffer("zero", torch.zeros(features), persistent=False)
        self.register_buffer("one", torch.ones(features), persistent=False)

    def forward(self) -> dist.TorchDistribution:
        p: dist.TorchDistribution = dist.Normal(self.zero, self.one).to_event(1)
        return p


def standard(features: int) -> StandardNormal:
    """The prior `standard`, which has no options."""
    return StandardNormal(features)
