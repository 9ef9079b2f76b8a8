"""The rate of a latent site: log q(z) - log p(z), sampled or in closed form, in all or for each dimension."""

from collections.abc import Sequence

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from torch import Tensor

from pyrovae.errors import UsageError, option
from pyrovae.objectives.divergence import base, called, divergence
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import Site, sites, traces


def closed_form(p: poutine.Trace, q: poutine.Trace) -> set[str]:
    """The sites whose KL divergence may be taken in closed form.

    The KL of site s is one number for each draw of what stands before s in the model, so these sites must stand
    before s in the guide, too (a bottom-up guide of a top-down model has them behind).
    """
    in_model, in_guide = list(sites(p, observed=False)), list(sites(q, observed=False))
    return {
        name
        for name in in_guide
        if name in in_model and set(in_model[: in_model.index(name)]) <= set(in_guide[: in_guide.index(name)])
    }


def rate(q: Site, p: Site, closed: bool) -> Tensor:
    """Nats, as the site's log_prob: the KL divergence where `closed` and known, else log q(z) - log p(z)."""
    value = divergence(q["fn"], p["fn"]) if closed else None
    if value is not None:
        exact: Tensor = scale_and_mask(value, q["scale"], q["mask"])
        return exact
    drawn: Tensor = q["log_prob"] - p["log_prob"]
    return drawn


def rate_by_dim(q: Site, p: Site, closed: bool) -> Tensor | None:
    """The rate with one more dim at the end, the dimensions of z; None where p or q does not factorise over them."""
    dims = q["fn"].event_dim
    q_base, p_base = base(q["fn"]), base(p["fn"])
    if dims == 0 or q_base.event_shape or p_base.event_shape:
        return None
    value = divergence(q_base, p_base) if closed else None
    if value is None:
        value = q_base.log_prob(q["value"]) - p_base.log_prob(p["value"])
    mask = q["mask"]
    if torch.is_tensor(mask):
        mask = mask.reshape(*mask.shape, *[1] * dims)
    scaled: Tensor = scale_and_mask(value, q["scale"], mask).flatten(-dims)
    return scaled


def require_closed_form(pair: Pair, batch: Sequence[Tensor]) -> None:
    """Raises UsageError where no latent site of the pair has a KL in closed form, with the reason for each.

    Leaves torch's generator as it was.
    """
    with scoring(pair, 0):
        p, q = traces(pair, batch)
        latent, prior, allowed = sites(q, observed=False), sites(p, observed=False), closed_form(p, q)
        known = {name: divergence(latent[name]["fn"], prior[name]["fn"]) is not None for name in allowed}
    if any(known.values()):
        return
    drawn, written, reasons = list(latent), list(prior), []
    for name, site in latent.items():
        why = f"{called(site['fn'])} against {called(prior[name]['fn'])}"
        if name not in allowed:
            late = sorted(set(written[: written.index(name)]) - set(drawn[: drawn.index(name)]))
            why = f"its prior may depend on {late}, which the guide draws after it"
        reasons.append(f"site '{name}' ({why})")
    sampled = option("kl", "sampled")
    if not reasons:
        raise UsageError(f"the pair has no latent site, so no KL term: take {sampled}")
    raise UsageError(f"the pair has no closed-form KL for {' and '.join(reasons)}: take {sampled}")
