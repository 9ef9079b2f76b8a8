"""What the data lose when each is decoded from the latents of another."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovae.evaluation.chunks import device_of, precise
from pyrovae.evaluation.elbo import data_at_once
from pyrovae.evaluation.information import drawn
from pyrovae.pair import Pair, first_dim
from pyrovae.seeding import seeded
from pyrovae.traces import draw, evaluating, require_per_datum, rows, sites, unvalidated


@dataclasses.dataclass(frozen=True)
class Swap:
    """log p(x | z_own) - log p(x | z_other), mean nats a datum over `num_data`, with its standard error over them."""

    nats: float
    standard_error: float
    num_data: int

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        return dataclasses.asdict(self)


def swap_loss(pair: Pair, batch: Sequence[Tensor], seed: int = 0) -> Swap | None:
    """The fall of log p(x | z) when latents z ~ q(z | x) go to another datum; 0 exactly where the model ignores them.

    All latent sites go together, along one cycle through all data in random order, so that none keeps its own.
    Conditions stay where they are. Weights, modes and generators are left as they were.

    Returns:
        None where the pair has no latent site, or there is one datum only.

    Raises:
        PyrovaeError: where a site stands outside the plate "data".
    """
    device, n = device_of(pair), first_dim(batch)
    with torch.no_grad(), unvalidated(), evaluating(pair), seeded(seed, device):
        whole = [tensor.to(device) for tensor in batch]
        if n < 2 or not require_per_datum(pair, [tensor[:2] for tensor in whole], "a swap of latents").latent:
            return None
        own = drawn(pair, whole)
        order = torch.randperm(n)
        other = torch.empty_like(order)
        other[order] = order.roll(1)
        swapped = {name: value[other.to(device)] for name, value in own.items()}
        loss = _distortion(pair, whole, swapped) - _distortion(pair, whole, own)
    return Swap(loss.mean().item(), loss.std().item() / math.sqrt(n), n)


def _distortion(pair: Pair, batch: Sequence[Tensor], values: Mapping[str, Tensor]) -> Tensor:
    """-log p(x | z) at given latents, (N,)."""
    found, start = [], 0
    for part in rows(batch, data_at_once(pair, batch)):
        here = {name: value[start : start + first_dim(part)] for name, value in values.items()}
        p = draw(pair.model, part, here)
        total = torch.zeros(first_dim(part), dtype=precise(part[0].device), device=part[0].device)
        p.compute_log_prob(lambda _, site: site["is_observed"])
        for site in sites(p, observed=True).values():
            total = total - site["log_prob"]
        found.append(total)
        start += first_dim(part)
    return torch.cat(found)
