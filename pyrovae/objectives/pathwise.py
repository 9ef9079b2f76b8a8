"""Traces through which the gradient of log q reaches the guide by the drawn values alone, without its score."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call

from pyrovae.errors import PyrovaeError, option
from pyrovae.lowering import slots
from pyrovae.pairs.inverses import inverted
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import Trace, draw, particles, sites
from pyrovae.runtime.seeding import seeded


def pathwise(pair: Pair, batch: Sequence[Tensor], K: int | None) -> tuple[Trace, Trace, dict[str, Tensor]]:
    """The traces (p, q) of one draw z ~ q, with log q of a guide whose parameters are stopped; and z by name.

    The guide runs twice, the second time at the values of the first, with detached parameters and copies of its
    buffers. `pyro.factor` in the guide is that of the first run, so its own parameters are trained by it. A hook on one
    of the values sees what comes back from the scores, once, also where one latent is drawn from another.
    """
    guide = pair.guide
    first = draw(particles(guide, K), batch)
    z = {name: site["value"].view_as(site["value"]) for name, site in sites(first, observed=False).items()}
    stopped = {}
    for name, (owner, key) in slots(guide).items():
        tensor = owner[key].detach()
        stopped[name] = tensor if owner[key].requires_grad else tensor.clone()  # running statistics move once a step

    def frozen(*batch: Tensor) -> None:
        functional_call(guide, stopped, batch, tie_weights=False)

    q = draw(particles(frozen, K), batch, z)
    p = draw(particles(pair.model, K), batch, z)
    for name in sites(first, observed=True):
        q.nodes[name] = first.nodes[name]
    p.compute_log_prob()
    q.compute_log_prob()
    return p, q, z


def require_repeatable(pair: Pair, batch: Sequence[Tensor], what: str) -> None:
    """Raises PyrovaeError where a second run of the guide in train mode gives another q, as it has noise of its own, or
    none, as its flow has no inverse.

    Leaves modes, buffers and torch's generator as they were.
    """
    guide = pair.guide
    modes = [(part, part.training) for part in guide.modules()]
    buffers = [(owner, key, owner[key], owner[key].clone()) for owner, key in slots(guide).values()]
    try:
        guide.train()
        with inverted(), torch.no_grad(), unvalidated(), seeded(0, batch[0].device):
            first = draw(guide, batch)
            z = {name: site["value"] for name, site in sites(first, observed=False).items()}
            second = draw(guide, batch, z)
            third = draw(guide, batch, z)
            second.compute_log_prob()
            third.compute_log_prob()
            noisy = [
                name for name in z if not torch.equal(second.nodes[name]["log_prob"], third.nodes[name]["log_prob"])
            ]
    finally:
        for part, mode in modes:
            part.training = mode
        for owner, key, tensor, before in buffers:
            owner[key] = tensor
            with torch.no_grad():
                tensor.copy_(before)
    if noisy:
        raise PyrovaeError(
            f"{what} scores a draw by a second run of the guide, and noise of the guide's own (dropout) makes that "
            f"another q of sites {noisy}: take it out, or take {option('objective', 'elbo')}"
        )
