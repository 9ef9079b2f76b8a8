"""Priors p(z): families without a context. A conditional prior p(z | y) is a guide family on the features of y.

To add a prior, write a module whose `forward()` gives a distribution of batch shape () and event shape (features,)
that scores values of any left shape and expands; constants are buffers that are not saved. `PriorConfig` and `prior`
offer it to the variants.
"""

from pyrovae.priors.choose import PriorConfig, prior
from pyrovae.priors.flow import FlowPrior
from pyrovae.priors.standard import StandardNormal
from pyrovae.priors.vamp import VampPrior

__all__ = ["FlowPrior", "PriorConfig", "StandardNormal", "VampPrior", "prior"]
