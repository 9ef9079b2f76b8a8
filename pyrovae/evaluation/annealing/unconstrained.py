"""All latents of a pair as one real vector, in which a sampler moves without meeting a border."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import Distribution, Transform, biject_to

from pyrovae.errors import PyrovaeError, option
from pyrovae.pairs.supports import support
from pyrovae.pairs.traces import Site, sites


class NotAnnealedError(PyrovaeError):
    """Latents that HMC cannot move.

    Attributes:
        why: in words that a sentence ends with.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; take {option('method', 'is', python='log_likelihood', command='loglik')}")
        self.why = why


class Slot(NamedTuple):
    """Where a latent stands in the vector: its dims, and the shape that they have before its transform."""

    start: int
    stop: int
    shape: torch.Size


def slots_of(trace: poutine.Trace) -> dict[str, Slot]:
    """The latent sites of a trace of the model, one after another.

    Raises:
        PyrovaeError: where a site is discrete, or has a support that torch cannot map to real numbers.
    """
    found, stop = dict[str, Slot](), 0
    for name, site in sites(trace, observed=False).items():
        if not site["value"].is_floating_point() or support(site["fn"]).is_discrete:
            raise NotAnnealedError(f"site '{name}' is discrete: HMC needs gradients")
        try:
            # With its left dims, which bounds that are tensors have, too.
            shape = transform(site["fn"]).inverse_shape(site["value"].shape)[len(site["fn"].batch_shape) :]
        except NotImplementedError:
            raise NotAnnealedError(
                f"site '{name}' has the support {support(site['fn'])}, which torch maps to no real numbers, and HMC "
                f"needs them"
            ) from None
        start, stop = stop, stop + math.prod(shape)
        found[name] = Slot(start, stop, torch.Size(shape))
    return found


def transform(family: Distribution) -> Transform:
    """From real numbers to the support of a distribution."""
    bijection: Transform = biject_to(support(family))
    return bijection


def flatten(trace: poutine.Trace, slots: Mapping[str, Slot]) -> Tensor:
    """The vector (K, B, D) of the latents of a trace of the model with particles."""
    latent, parts = sites(trace, observed=False), []
    for name, slot in slots.items():
        u = transform(latent[name]["fn"]).inv(latent[name]["value"])
        parts.append(u.reshape(*u.shape[: u.dim() - len(slot.shape)], -1))
    return torch.cat(parts, -1)


class Unconstrained(Messenger):
    """Latent sites take their values from a vector (K, B, D), each through the transform to its own support, which may
    depend on the sites before; `log_det` (K, B) is what a density over the vector has more than one over the values."""

    def __init__(self, slots: Mapping[str, Slot], vector: Tensor) -> None:
        super().__init__()
        self.slots = slots
        self.vector = vector
        self.log_det = torch.zeros((), dtype=vector.dtype, device=vector.device)

    def _pyro_sample(self, msg: Site) -> None:
        if msg["is_observed"] or msg["name"] not in self.slots:
            return
        start, stop, shape = self.slots[msg["name"]]
        u = self.vector[..., start:stop].reshape(*self.vector.shape[:-1], *shape)
        move = transform(msg["fn"])
        msg["value"], msg["done"] = move(u), True
        change = move.log_abs_det_jacobian(u, msg["value"])
        # Of a support that says less of its event dims than the distribution does.
        self.log_det = self.log_det + change.reshape(*self.vector.shape[:-1], -1).sum(-1)
