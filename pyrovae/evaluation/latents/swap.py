"""What the data lose when each is decoded from the latents of another."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pyrovae.evaluation.elbo import data_at_once
from pyrovae.evaluation.latents.information import drawn
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import require_per_datum
from pyrovae.pairs.traces import draw, sites
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json


@dataclasses.dataclass(frozen=True)
class Swap:
    """log p(x | z_own) - log p(x | z_other), mean nats a datum over `num_data`, with its standard error over them."""

    nats: float
    standard_error: float
    num_data: int

    def summary(self) -> Json:
        """As JSON."""
        return dataclasses.asdict(self)


def swap_loss(pair: Pair, batch: Sequence[Tensor], seed: int = 0, show: Progress | None = None) -> Swap | None:
    """The fall of log p(x | z) when latents z ~ q(z | x) go to another datum; 0 exactly where the model ignores them.

    All latent sites go together, along one cycle through all data in random order, so that none keeps its own.
    Conditions stay where they are. Weights, modes and generators are left as they were. `show` is told where memory
    runs out and smaller pieces are taken.

    Returns:
        None where the pair has no latent site, or there is one datum only.

    Raises:
        PyrovaeError: where a site stands outside the plate "data".
    """
    device, n = device_of(pair), first_dim(batch)
    with scoring(pair, seed):
        whole = placed(pair, batch)
        if n < 2 or not require_per_datum(pair, [tensor[:2] for tensor in whole], "a swap of latents").latent:
            return None
        own = drawn(pair, whole, show)
        order = torch.randperm(n)
        other = torch.empty_like(order)
        other[order] = order.roll(1)
        swapped = {name: value[other.to(device)] for name, value in own.items()}
        loss = _distortion(pair, whole, swapped, show) - _distortion(pair, whole, own, show)
    return Swap(loss.mean().item(), loss.std().item() / math.sqrt(n), n)


def _distortion(pair: Pair, batch: Sequence[Tensor], values: Mapping[str, Tensor], show: Progress | None) -> Tensor:
    """-log p(x | z) at given latents, (N,)."""
    device = batch[0].device

    def work(rows: slice) -> Tensor:
        part = [tensor[rows] for tensor in batch]
        p = draw(pair.model, part, {name: value[rows] for name, value in values.items()})
        total = torch.zeros(first_dim(part), dtype=precise(device), device=device)
        p.compute_log_prob(lambda _, site: site["is_observed"])
        for site in sites(p, observed=True).values():
            total = total - site["log_prob"]
        return total

    size = data_at_once(pair, batch)
    return torch.cat([found for _, found in memory.halved(first_dim(batch), size, work, device, show)])
