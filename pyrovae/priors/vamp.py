"""Mixture of the guide over learned pseudo-inputs (Tomczak & Welling 2018)."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints
from torch.nn.functional import hardtanh

from pyrovae.data.field import Field
from pyrovae.flows.gaussians import log_prob_of_each
from pyrovae.nets.units import Standard, standard

SPREAD = 0.01
"""Standard deviation of the pseudo-inputs around the mean of the data when training starts, as in the paper."""

INSIDE = 0.05
"""How far from 0 and 1 that mean is kept: beyond these a pseudo-input has no gradient."""


class VampPrior(nn.Module):
    """p(z) = 1/C sum_c q(z | u_c), with pseudo-inputs u_c that are learned with everything else.

    q is the guide's, and its weights stay the guide's: a bound method is no child module, so that each weight has one
    name, and it goes with the guide when a pair is copied, moved or cast. (A module that is registered twice breaks
    `functional_call`, and its weights have two names in a file.) A model with this prior cannot be frozen: each guide
    would make another p(z).

    Jakub M. Tomczak, Max Welling: VAE with a VampPrior. AISTATS 2018.

    Args:
        posterior: method of the guide, (C, *shape) -> q(z | u) of batch shape (C,) and event shape (features,).
        start: (C, *shape), where the pseudo-inputs start.
        unit: whether they are kept in [0, 1], as the data are.
        units: of standardised data: what is learned is in these units, as is `start`.
    """

    def __init__(
        self, posterior: Callable[[Tensor], Distribution], start: Tensor, unit: bool, units: Standard | None = None
    ) -> None:
        super().__init__()
        self.posterior = posterior
        self.pseudo = nn.Parameter(start.clone())
        self.unit = unit
        self.standard = units

    def inputs(self) -> Tensor:
        """u, (C, *shape)."""
        if self.standard is not None:
            return self.standard.inverse(self.pseudo)
        return hardtanh(self.pseudo, 0.0, 1.0) if self.unit else self.pseudo

    def forward(self) -> dist.TorchDistribution:
        return EqualMixture(self.posterior(self.inputs()), self.pseudo.device)


def vamp(
    features: int,
    posterior: Callable[[Tensor], Distribution],
    of: Field | int,
    pseudo_inputs: Annotated[int, Option(ge=1, le=10**6, description="C, components")] = 500,
) -> VampPrior:
    """The prior `vamp`; pseudo-inputs start near the mean of a field of the data, or as draws from N(0, I) where they
    stand in the place of a latent."""
    if isinstance(of, int):
        return VampPrior(posterior, torch.randn(pseudo_inputs, of), unit=False)
    if of.standardized:
        return VampPrior(posterior, SPREAD * torch.randn(pseudo_inputs, *of.shape), False, standard(of))
    unit = of.kind in ("binary", "unit")
    mean = torch.zeros(of.shape) if of.mean is None else of.mean.float()
    mean = mean.clamp(INSIDE, 1 - INSIDE) if unit else mean
    return VampPrior(posterior, mean + SPREAD * torch.randn(pseudo_inputs, *of.shape), unit)


class EqualMixture(dist.TorchDistribution):
    """1/C sum_c q_c of distributions of one family, which is only asked for `rsample` and `log_prob`.

    Args:
        components: of batch shape (C,) and event shape (features,).
        device: where they are.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = False

    def __init__(self, components: Distribution, device: torch.device, validate_args: bool | None = None) -> None:
        self.components = components
        self.device = device
        super().__init__(event_shape=components.event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: "EqualMixture | None" = None) -> "EqualMixture":
        new: EqualMixture = self._get_checked_instance(EqualMixture, _instance)  # type: ignore[no-untyped-call]
        new.components, new.device = self.components, self.device
        super(EqualMixture, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        total = self._of_each(value).logsumexp(-1) - math.log(self.components.batch_shape[0])
        return total.expand(torch.broadcast_shapes(total.shape, self.batch_shape))

    def _of_each(self, value: Tensor) -> Tensor:
        """log q_c(value), (*L, C)."""
        q = self.components
        # mps has no double precision.
        if isinstance(q, Independent) and isinstance(q.base_dist, Normal) and self.device.type != "mps":
            return log_prob_of_each(value, q.base_dist.loc, q.base_dist.scale)
        # Expanded, because a flow takes as many values as it has contexts.
        return q.log_prob(value.unsqueeze(-2).expand(*value.shape[:-1], *q.batch_shape, value.shape[-1]))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """The i-th draw that falls to a component is the i-th of that component's own, so that of n draws only as many
        are made of all C as the most frequent one needs."""
        shape = self._extended_shape(torch.Size(sample_shape))
        C, n = self.components.batch_shape[0], math.prod(shape[:-1])
        with torch.no_grad():
            component = torch.randint(C, (n,), device=self.device)
            ordered, order = component.sort()
            nth = torch.empty_like(order)
            nth[order] = torch.arange(n, device=self.device) - torch.searchsorted(ordered, ordered)
            most = int(nth.max()) + 1 if n else 0
            return self.components.sample((most,))[nth, component].reshape(shape)
