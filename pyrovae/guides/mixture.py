"""Mixture of diagonal Gaussians, with pathwise gradients (Jankowiak & Karaletsos 2019)."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn.functional import pad

from pyrovae.flows.gaussians import noise
from pyrovae.flows.scale import positive
from pyrovae.nets.mlp import linear


class Mixture(nn.Module):
    """q(z | h) = sum_s pi_s(h) N(z; mu_s(h), diag sigma_s(h)^2)."""

    def __init__(
        self,
        context: int,
        features: int,
        components: Annotated[int, Option(ge=1, description="Gaussians in the mixture")] = 5,
    ) -> None:
        super().__init__()
        self.components = components
        self.logits = linear(context, components)
        self.loc = linear(context, components * features)
        self.raw = linear(context, components * features)

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        shape = (self.components, -1)
        return DiagonalMixture(
            self.logits(h), self.loc(h).unflatten(-1, shape), positive(self.raw(h)).unflatten(-1, shape)
        )


class DiagonalMixture(dist.TorchDistribution):
    """sum_s pi_s N(loc_s, diag scale_s^2) on (features,), with pathwise gradients of its samples.

    A component and a value z are drawn without gradient, which is attached afterwards. By loc_s and scale_s, z moves
    as a draw of component s would, times the share of s in the density at z: this solves the transport equation, and
    has far less variance than the score function. By the logits, F_d(z_d | z_<d), a mixture of Normal distribution
    functions with weights given z_<d, stays as it is: dz/dlogits = -(dF/dz)^-1 dF/dlogits, one triangular solve. This
    is unbiased, too, but mass moves between components through what lies between them: where they lie far apart, few
    draws are there, and each counts much.

    Alex Graves: Stochastic Backpropagation through Mixture Density Distributions. 2016.
    Michael Figurnov, Shakir Mohamed, Andriy Mnih: Implicit Reparameterization Gradients. NeurIPS 2018.
    Martin Jankowiak, Theofanis Karaletsos: Pathwise Derivatives for Multivariate Distributions. AISTATS 2019.

    Args:
        logits: (*L, components), log pi up to a constant.
        loc: (*L, components, features).
        scale: as loc, positive.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "logits": constraints.real_vector,
        "loc": constraints.independent(constraints.real, 2),
        "scale": constraints.independent(constraints.positive, 2),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        batch = torch.broadcast_shapes(logits.shape[:-1], loc.shape[:-2], scale.shape[:-2])
        self.logits = logits.expand(*batch, -1)
        self.loc = loc.expand(*batch, -1, -1)
        self.scale = scale.expand(*batch, -1, -1)
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: "DiagonalMixture | None" = None) -> "DiagonalMixture":
        new: DiagonalMixture = self._get_checked_instance(DiagonalMixture, _instance)  # type: ignore[no-untyped-call]
        new.logits = self.logits.expand(*batch_shape, -1)
        new.loc = self.loc.expand(*batch_shape, -1, -1)
        new.scale = self.scale.expand(*batch_shape, -1, -1)
        super(DiagonalMixture, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        return (self._weights * self.loc).sum(-2)

    @property
    def variance(self) -> Tensor:
        around = self.loc - self.mean.unsqueeze(-2)
        return (self._weights * (self.scale.square() + around.square())).sum(-2)

    @property
    def _weights(self) -> Tensor:
        return self.logits.softmax(-1).unsqueeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        x = self._standard(value)
        return (self.logits.log_softmax(-1) + self._log_normal(x).sum(-1)).logsumexp(-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            z = self._draw(self._extended_shape(torch.Size(sample_shape)))
        return self._attached(z) if torch.is_grad_enabled() else z

    def _draw(self, shape: torch.Size) -> Tensor:
        u = torch.rand((*shape[:-1], 1), dtype=self.loc.dtype, device=self.loc.device)
        before = self.logits.softmax(-1).cumsum(-1)[..., :-1]
        index = (u >= before).sum(-1)[..., None, None].expand(*shape[:-1], 1, shape[-1])

        def chosen(each: Tensor) -> Tensor:
            return each.expand(*shape[:-1], -1, -1).gather(-2, index).squeeze(-2)

        return chosen(self.loc) + chosen(self.scale) * noise(shape, self.loc)

    def _attached(self, z: Tensor) -> Tensor:
        """z, unchanged, with its derivatives by the parameters."""
        with torch.no_grad():
            x = self._standard(z)  # (*L, components, features), as all below unless said
            log_normal = self._log_normal(x)
            share = (
                (self.logits + log_normal.sum(-1)).softmax(-1).unsqueeze(-1)
            )  # of each component in the density at z
        carried = (share * (self.loc + x * self.scale)).sum(-2)
        return z + (carried - carried.detach()) - self._moved_by_weights(x, log_normal)

    def _moved_by_weights(self, x: Tensor, log_normal: Tensor) -> Tensor:
        """0, with minus the derivatives of z by the logits: F_d(z_d | z_<d) is uniform whatever the weights are."""
        with torch.no_grad():
            before = pad(log_normal.cumsum(-1)[..., :-1], (1, 0))
        weight = (self.logits.unsqueeze(-1) + before).softmax(-2)  # of each component, given z_<d
        with torch.no_grad():
            f = (weight * log_normal.exp()).sum(-2)  # (*L, features)
            # 0 where f is below the precision of the dtype: of 10^7 draws in float32 about one lies there.
            per_f = torch.where(f > torch.finfo(f.dtype).eps, 1 / f, 0.0)
            # Above the median F - 1 is taken, which has the same derivatives: a difference of upper tails keeps the
            # digits that one of numbers close to 1 has lost.
            side = torch.where((weight * _below(x)).sum(-2, keepdim=True) > 0.5, -1.0, 1.0).to(f.dtype)
            tail = side * _below(side * x)
        F = (weight * tail).sum(-2)  # (*L, features)
        with torch.no_grad():
            # dF_d/dz_j / f_d for j < d: z_j acts through the weights.
            each = weight * (tail - F.unsqueeze(-2)) * per_f.unsqueeze(-2)
            by_z = torch.einsum("...sd,...sj->...dj", each, -x / self.scale).tril(-1)
        moved = ((F - F.detach()) * per_f).unsqueeze(-1)
        normal: Tensor = torch.linalg.solve_triangular(by_z, moved, upper=False, unitriangular=True).squeeze(-1)
        return normal

    def _standard(self, value: Tensor) -> Tensor:
        return (value.unsqueeze(-2) - self.loc) / self.scale

    def _log_normal(self, x: Tensor) -> Tensor:
        return -0.5 * x.square() - self.scale.log() - 0.5 * math.log(2 * math.pi)


def _below(x: Tensor) -> Tensor:
    """The standard normal distribution function. `torch.special.ndtr` is 1 + erf, which is 0 from -5 in float32."""
    return 0.5 * torch.erfc(-(0.5**0.5) * x)
