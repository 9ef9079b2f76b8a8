"""The sites of a pair as a table, for print."""

from collections.abc import Sequence
from typing import NamedTuple

from pyro.distributions import MaskedDistribution
from torch import Tensor
from torch.distributions import Distribution, Independent

from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import draw, sites


class Row(NamedTuple):
    """One line of `sites_table`, all texts."""

    site: str
    kind: str
    plate: str
    batch_shape: str
    event_shape: str
    p: str
    q: str


def sites_table(pair: Pair, batch: Sequence[Tensor]) -> list[Row]:
    """The sites of a pair and its conditions, for print: model sites in their order, then what only the guide has."""
    with scoring(pair, 0):
        q, p = (sites(draw(program, batch)) for program in (pair.guide, pair.model))
    rows = []
    for name in [*p, *(name for name in q if name not in p)]:
        site = p.get(name, q.get(name))
        assert site is not None
        if name not in p:
            kind = "training term" if site["infer"].get("is_auxiliary") else "guide only"
        elif not site["is_observed"]:
            kind = "latent"
        else:
            kind = "generated" if name in pair.inputs else "unnamed"
        plates = ", ".join(frame.name for frame in site["cond_indep_stack"]) or "none"
        shapes = str(tuple(site["fn"].batch_shape)), str(tuple(site["fn"].event_shape))
        laws = (_class(found[name]["fn"]) if name in found else "-" for found in (p, q))
        rows.append(Row(name, kind, plates, *shapes, *laws))
    for name, tensor in zip(pair.inputs, batch, strict=True):
        if name not in p:
            shapes = str(tuple(tensor.shape[:1])), str(tuple(tensor.shape[1:]))
            rows.append(Row(name, "condition", "-", *shapes, "-", "-"))
    return rows


def _class(distribution: Distribution) -> str:
    while isinstance(distribution, Independent | MaskedDistribution):
        distribution = distribution.base_dist
    return type(distribution).__name__
