"""The evidence lower bound: value and gradient of Pyro's Trace_ELBO, without its host syncs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.objectives.enumeration import Expectation
from pyrovae.objectives.terms import closed_form, rate, rate_by_dim, require_closed_form
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.structure import (
    Structure,
    is_local,
    refuse_missing,
    refuse_shapes,
    refuse_weighed,
    running,
    structure,
)
from pyrovae.pairs.traces import Site, Trace, sites, traces

KL = Literal["sampled", "analytic"]

KL_TERM = ("beta", "kl_warmup", "kl_start", "kl_cycles", "free_bits", "free_nats", "kl")
"""Options of training that are about the rate, which the ELBO and `stl` have as a term of their own."""


class Terms(NamedTuple):
    """Sums over a batch, in nats: what is minimised, and what is printed (never weighted, detached)."""

    loss: Tensor
    elbo: Tensor
    rate: Tensor
    distortion: Tensor


class Free(NamedTuple):
    """What of the mean rate of a batch costs nothing: `bits` nats a dimension, or `nats` of all latents together."""

    bits: float = 0.0
    nats: float = 0.0

    def each(self, q: Site, p: Site, whole: Tensor, closed: bool, B: int, expected: Expectation) -> Tensor:
        """What a site pays of its rate `whole`, where each dimension has its bits; a discrete scalar is one."""
        by_dim = rate_by_dim(q, p, closed)
        if by_dim is None:
            return B * whole.mean().clamp_min(self.bits * q["fn"].event_shape.numel())
        return B * expected(by_dim, 1).flatten(0, -2).mean(0).clamp_min(self.bits).sum()


class ELBO(nn.Module):
    """E_q[log p(x, z) - log q(z | x)], summed over the batch and averaged over K particles.

    loss = distortion + kl_weight * rate, with distortion = -log p(x | z) and rate = log q(z | x) - log p(z) of the
    drawn z, or KL(q || p). With free bits, the mean rate of the batch counts as `free_bits` where it is less: for each
    dimension of a latent where p and q factorise over its dimensions, else for the site, with `free_bits` times its
    dimensions (Kingma et al. 2016). With free nats, the mean rate of the batch over all sites in the plate "data"
    counts as `free_nats` where it is less, whatever the guide is. A site outside the plate is reduced before it is
    added, and weighs `fraction`.

    A guide site with `infer={"enumerate": "parallel"}`, a discrete scalar y, is not drawn but summed out: each term,
    each rate and each `pyro.factor` that depends on it is sum_y q(y | x) times its value at y, as in TraceEnum_ELBO.

    Args:
        pair: what is trained.
        particles: K; None is one draw without a particle plate.
        free_bits: nats a dimension that are not worth compressing.
        free_nats: nats of all latents together that are not worth compressing; not beside `free_bits`.
        kl: `analytic` takes the rate of a site in closed form where `closed_form` allows it and `divergence` knows it.
    """

    takes: ClassVar = KL_TERM

    def __init__(
        self,
        pair: Pair,
        particles: int | None = None,
        free_bits: float = 0.0,
        free_nats: float = 0.0,
        kl: KL = "sampled",
    ) -> None:
        super().__init__()
        self.pair = pair
        self.particles = particles
        self.free = Free(free_bits, free_nats)
        self.kl = kl

    @classmethod
    def refuse(cls, config: TrainConfig) -> None:
        """See `pyrovae.objectives`."""
        refuse_contradictions(config)

    @classmethod
    def build(cls, pair: Pair, batch: Sequence[Tensor], config: TrainConfig) -> ELBO:
        """See `pyrovae.objectives`."""
        require_trainable(pair, batch, config.free_bits, config.free_nats)
        if config.kl == "analytic":
            require_closed_form(pair, batch)
        draws = config.particles if config.particles > 1 else None
        return cls(pair, draws, config.free_bits, config.free_nats, config.kl)

    def forward(self, *batch: Tensor, kl_weight: Tensor | float = 1.0, fraction: Tensor | float = 1.0) -> Terms:
        """`fraction` is len(batch) / len(data), the share of a global latent that one batch pays."""
        p, q = traces(self.pair, batch, self.particles, enumerate=True)
        closed = closed_form(p, q) if self.kl == "analytic" else set()
        return negative_elbo(p, q, batch, kl_weight, fraction, self.free, closed, 1 if self.particles is None else 2)


def negative_elbo(
    p: Trace,
    q: Trace,
    batch: Sequence[Tensor],
    kl_weight: Tensor | float,
    fraction: Tensor | float,
    free: Free,
    closed: Collection[str] = (),
    plates: int = 1,
) -> Terms:
    """The terms of two traces, see `ELBO`; the rates of the sites in `closed` are taken in closed form where known.

    `plates` are the dims of particles and data, left of which those of enumerated sites stand.
    """
    latent, in_model, B = sites(q, observed=False), sites(p), first_dim(batch)
    zero = batch[0].new_zeros((), dtype=torch.get_default_dtype())
    expected = Expectation(q, plates)

    def total(site: Site, value: Tensor) -> Tensor:
        value = expected(value)
        particle_plate = any(frame.dim == -2 for frame in site["cond_indep_stack"])
        mean = value.sum() / value.shape[0] if particle_plate and value.dim() > 1 else value.sum()
        return mean if is_local(site) else fraction * mean

    distortion = zero - sum((total(site, site["log_prob"]) for site in sites(p, observed=True).values()), zero)
    rates = {name: expected(rate(site, in_model[name], name in closed)) for name, site in latent.items()}
    totals = {name: total(latent[name], value) for name, value in rates.items()}
    total_rate = sum(totals.values(), zero)
    # pyro.factor(name, -value) in the guide is a training term: part of the loss, never of the printed ELBO.
    factors = sum((total(site, site["log_prob"]) for site in sites(q, observed=True).values()), zero)

    paid = total_rate
    if free.bits:
        paid = sum(
            (
                free.each(site, in_model[name], rates[name], name in closed, B, expected)
                for name, site in latent.items()
            ),
            zero,
        )
    elif free.nats:
        local = sum((value for name, value in totals.items() if is_local(latent[name])), zero)
        paid = total_rate - local + B * (local / B).clamp_min(free.nats)
    loss = distortion + kl_weight * paid + factors
    return Terms(loss, -(distortion + total_rate).detach(), total_rate.detach(), distortion.detach())


def refuse_contradictions(config: TrainConfig) -> None:
    """Raises UsageError for the first option of the KL term that contradicts another, or has no effect without it."""
    if config.free_bits and config.free_nats:
        bits, nats = option("free_bits"), option("free_nats")
        raise UsageError(f"{bits} counts each dimension and {nats} all of them together: set one of them to 0")
    if config.kl_cycles > 1 and not config.kl_warmup:
        raise UsageError(
            f"{option('kl_cycles', config.kl_cycles)} repeats the KL warm-up, and there is none: "
            f"give {option('kl_warmup')}, the epochs of each cycle in which the KL weight grows"
        )
    if config.kl_start and not config.kl_warmup:
        raise UsageError(
            f"{option('kl_start', config.kl_start)} is where the KL warm-up starts, and there is none: "
            f"give {option('kl_warmup')}, the epochs in which the KL weight grows"
        )


def refuse_enumerated(found: Structure, what: str) -> None:
    """Raises PyrovaeError where a site is summed out, which `what` would have to draw."""
    if found.enumerated:
        raise PyrovaeError(
            f"{what} draws every latent with reparametrization, and sites {found.enumerated} are summed out: take "
            f"{option('objective', 'elbo')}"
        )


def require_trainable(pair: Pair, batch: Sequence[Tensor], free_bits: float = 0.0, free_nats: float = 0.0) -> Structure:
    """The structure of a pair that the ELBO trains rightly.

    Raises:
        PyrovaeError: where it would be wrong or its gradient biased, with the site and the cure.
    """
    with running(pair, batch):
        roles = structure(pair, batch)
    refuse_missing(roles)
    refuse_weighed(roles)
    if roles.unnamed or not roles.generated:
        raise PyrovaeError(
            f"the model observes {roles.unnamed or 'nothing'}, and its fields are {list(pair.inputs)}: "
            f"give an observed site the name of its field"
        )
    if drawn := [name for name in roles.score if name not in roles.enumerated]:
        raise PyrovaeError(
            f"sites {drawn} are drawn without reparametrization, and this ELBO has no score-function gradient: "
            f"take a distribution with rsample, sum a discrete one out with infer={{'enumerate': 'parallel'}}, or "
            f"train with pyro.infer.SVI"
        )
    if roles.endless:
        raise PyrovaeError(
            f"sites {roles.endless} declare infer={{'enumerate': 'parallel'}} and have no finite list of values: only "
            f"discrete scalars are summed out, leave it out of the others"
        )
    if both := [name for name in roles.enumerated if name in roles.outside]:
        raise PyrovaeError(
            f"sites {both} are summed out for each datum, and stand outside plate 'data': move them into it"
        )
    if roles.guide_observes:
        raise PyrovaeError(
            f"the guide observes {roles.guide_observes}: only the model observes; use pyro.factor for a training term"
        )
    if roles.outside and free_bits:
        raise PyrovaeError(
            f"free bits are nats a datum, and sites {roles.outside} stand outside plate 'data': set free_bits to 0"
        )
    if free_nats and set(roles.latent) <= set(roles.outside):
        raise PyrovaeError("free nats are of the latent sites in plate 'data', and there is none: set free_nats to 0")
    refuse_shapes({name: shape for name, shape in roles.shapes.items() if name not in roles.outside}, first_dim(batch))
    return roles
