"""The evidence lower bound, with the value and the gradient of Pyro's Trace_ELBO and without its host syncs."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.pair import Pair, first_dim
from pyrovae.svi.terms import rate, rate_by_dim
from pyrovae.traces import Site, is_local, refuse_missing, refuse_shapes, sites, structure, traces


class Terms(NamedTuple):
    """Sums over a batch, in nats: what is minimised, and what is printed (never weighted, detached)."""

    loss: Tensor
    elbo: Tensor
    rate: Tensor
    distortion: Tensor


class ELBO(nn.Module):
    """E_q[log p(x, z) - log q(z | x)], summed over the batch and averaged over K particles.

    loss = distortion + kl_weight * rate, with distortion = -log p(x | z) and rate = log q(z | x) - log p(z) of the
    drawn z. With free bits, the mean rate of the batch counts as `free_bits` where it is less: for each dimension of
    a latent where p and q factorise over its dimensions, else for the site, with `free_bits` times its dimensions
    (Kingma et al. 2016). A site outside the plate "data" is reduced before it is added, and weighs `fraction`.

    Args:
        pair: what is trained.
        particles: K; None is one draw without a particle plate.
        free_bits: nats a dimension that are not worth compressing.
    """

    def __init__(self, pair: Pair, particles: int | None = None, free_bits: float = 0.0) -> None:
        super().__init__()
        self.pair = pair
        self.particles = particles
        self.free_bits = free_bits

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """`fraction` is len(batch) / len(data), the share of a global latent that one batch pays."""
        p, q = traces(self.pair, batch, self.particles)
        latent, in_model = sites(q, observed=False), sites(p)
        zero = batch[0].new_zeros((), dtype=torch.get_default_dtype())

        distortion = zero - sum(
            (self._total(site, site["log_prob"], fraction) for site in sites(p, observed=True).values()), zero
        )
        rates = {name: rate(site, in_model[name], closed=False) for name, site in latent.items()}
        total_rate = sum((self._total(latent[name], value, fraction) for name, value in rates.items()), zero)
        # pyro.factor(name, -value) in the guide is a training term: part of the loss, never of the printed ELBO.
        factors = sum(
            (self._total(site, site["log_prob"], fraction) for site in sites(q, observed=True).values()), zero
        )

        paid = total_rate
        if self.free_bits:
            B = first_dim(batch)
            paid = zero + sum(self._free(site, in_model[name], rates[name], B) for name, site in latent.items())
        loss = distortion + kl_weight * paid + factors
        return Terms(loss, -(distortion + total_rate).detach(), total_rate.detach(), distortion.detach())

    def _total(self, site: Site, value: Tensor, fraction: Tensor | float) -> Tensor:
        particle_plate = any(frame.dim == -2 for frame in site["cond_indep_stack"])
        mean = value.sum() / value.shape[0] if particle_plate and value.dim() > 1 else value.sum()
        return mean if is_local(site) else fraction * mean

    def _free(self, q: Site, p: Site, whole: Tensor, B: int) -> Tensor:
        by_dim = rate_by_dim(q, p, closed=False)
        if by_dim is None:
            dims = q["fn"].event_shape.numel()
            return B * whole.mean().clamp_min(self.free_bits * dims)
        return B * by_dim.flatten(0, -2).mean(0).clamp_min(self.free_bits).sum()


def require_trainable(pair: Pair, batch: Sequence[Tensor], free_bits: float = 0.0) -> None:
    """Raises PyrovaeError where the ELBO would be wrong or its gradient biased, with the site and the cure."""
    found = structure(pair, batch)
    refuse_missing(found)
    if found.unnamed or not found.generated:
        raise PyrovaeError(
            f"the model observes {found.unnamed or 'nothing'}, and its fields are {list(pair.inputs)}: "
            f"give an observed site the name of its field"
        )
    if found.score:
        raise PyrovaeError(
            f"sites {found.score} are drawn without reparametrization, and this ELBO has no score-function gradient: "
            f"take a distribution with rsample, or train with pyro.infer.SVI"
        )
    if found.guide_observes:
        raise PyrovaeError(
            f"the guide observes {found.guide_observes}: only the model observes; use pyro.factor for a training term"
        )
    if found.outside and free_bits:
        raise PyrovaeError(
            f"free bits are nats a datum, and sites {found.outside} stand outside plate 'data': set free_bits to 0"
        )
    refuse_shapes({name: shape for name, shape in found.shapes.items() if name not in found.outside}, first_dim(batch))
