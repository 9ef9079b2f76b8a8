"""The two traces of a pair: everything that trains, scores, samples and pictures it is computed from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.supports import is_everything, outside
from pyrovae.runtime.turns import between

Trace = poutine.Trace

Site = dict[str, Any]
"""What Pyro keeps of one statement of a program: its name, distribution, value, and more."""

Program = Callable[..., Any]
"""A model or a guide: takes a batch, and draws by `pyro.sample`."""


class Fixed(Messenger):
    """Latent sites take the given values and stay latent, so that p and q both score them.

    (`poutine.condition` would make them observed, and `uncondition` outside of it would draw them anew.)
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg: Site) -> None:
        if not msg["is_observed"] and msg["name"] in self.values:
            msg["value"], msg["done"] = self.values[msg["name"]], True


def particles(program: Program, K: int | None) -> Program:
    """`program` in a plate of K particles at dim -2; itself where K is None."""
    if K is None:
        return program

    def wrapped(*batch: Tensor) -> object:
        with pyro.plate("particles", K, dim=-2):
            return program(*batch)

    return wrapped


def sites(trace: poutine.Trace, observed: bool | None = None) -> dict[str, Site]:
    """The sample sites of a trace by name, in their order: all, the observed or the latent ones."""
    return {
        name: cast(Site, site)
        for name, site in trace.nodes.items()
        if site["type"] == "sample"
        and not site_is_subsample(site)
        and not (site["infer"] or {}).get("_deterministic")
        and (observed is None or observed == site["is_observed"])
    }


def draw(program: Program, batch: Sequence[Tensor], values: Mapping[str, Tensor] | None = None) -> poutine.Trace:
    """One trace of a program, with some latent sites at given values and a param store of its own.

    `pyro.module` and Pyro's own modules keep parameters in the global one, by name: a second pair of a process would
    find those of the first there, and not be trained, and a pair that is lowered the stand-ins of its trace.
    """
    with pyro.get_param_store().scope():
        return poutine.trace(Fixed(values or {})(program)).get_trace(*batch)


def traces(
    pair: Pair,
    batch: Sequence[Tensor],
    K: int | None = None,
    values: Mapping[str, Tensor] | None = None,
    enumerate: bool = False,
) -> tuple[poutine.Trace, poutine.Trace]:
    """The traces (p, q) of one draw z ~ q, or of `values`, with every log_prob computed: (B,), or (K, B) with K.

    With `enumerate`, the sites of the guide that declare `infer={"enumerate": "parallel"}` are not drawn: they take all
    their values, each along a dim of its own on the left (`pyrovae.objectives.enumeration.Expectation` sums them out).
    """
    guide = particles(pair.guide, K)
    if enumerate:
        guide = poutine.enum(guide, first_available_dim=-2 if K is None else -3)
    q = draw(guide, batch, values)
    p = draw(poutine.replay(particles(pair.model, K), trace=q), batch)
    q.compute_log_prob()
    p.compute_log_prob()
    return p, q


def log_joint(model: Program, batch: Sequence[Tensor], values: Mapping[str, Tensor], K: int | None = None) -> Tensor:
    """log p(x, z) in nats at given latents, (K, B), or (B,) without K."""
    with pyro.get_param_store().scope():  # as in `draw`
        p = poutine.trace(Fixed(values)(particles(model, K))).get_trace(*batch)
    p.compute_log_prob()
    total = torch.zeros((), device=batch[0].device)
    for site in sites(p).values():
        total = total + (site["log_prob"] if site["is_observed"] else _density(site))
    # Without a latent site nothing carries the particle dim: K equal values.
    return total.expand(first_dim(batch) if K is None else (K, first_dim(batch)))


def _density(site: Site) -> Tensor:
    """log p(z) of a latent site, minus infinity where its value lies outside the support: what a distribution computes
    there is a finite number without meaning. Discrete values are those of a guide of the same values."""
    found: Tensor = site["log_prob"]
    if is_everything(site["fn"]) or not site["value"].is_floating_point():
        return found
    stray = outside(site["fn"], site["value"])
    left = site["value"].dim() - len(site["fn"].event_shape)
    stray = stray.flatten(left).any(-1) if stray.dim() > left else stray
    return found.masked_fill(stray, -torch.inf)


def log_weights(
    pair: Pair,
    batch: Sequence[Tensor],
    K: int | None = None,
    values: Mapping[str, Tensor] | None = None,
    guide: Program | None = None,
) -> Tensor:
    """log p(x, z) - log q(z | x) in nats, (K, B), or (B,) without K; `pyro.factor` in the guide is no part of q.

    `guide` is another program in the place of the pair's own.
    """
    q = draw(particles(guide or pair.guide, K), batch, values)
    q.compute_log_prob()
    latent = sites(q, observed=False)
    weight = log_joint(pair.model, batch, {name: site["value"] for name, site in latent.items()}, K)
    for site in latent.values():
        weight = weight - site["log_prob"]
    return weight


def rows(batch: Sequence[Tensor], size: int) -> Iterator[tuple[Tensor, ...]]:
    """A batch in pieces of `size` data, the last one short; between two of them other threads may go on."""
    for start in range(0, first_dim(batch), size):
        between()
        yield tuple(tensor[start : start + size] for tensor in batch)
