"""How well a guide classifies: the share of data whose label is the most probable class under q(y | x)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pyrovae.data.field import Field
from pyrovae.evaluation.elbo import data_at_once
from pyrovae.evaluation.latents.rates import DRAWS, class_of
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.traces import draw, particles, sites
from pyrovae.runtime import memory
from pyrovae.runtime.progress import Progress


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """The share of data that are classified rightly.

    Attributes:
        accuracy: between 0 and 1.
        standard_error: of another sample of data like these, sqrt(a (1 - a) / N).
        num_data: N, the data whose label is known.
    """

    accuracy: float
    standard_error: float
    num_data: int

    def summary(self) -> dict[str, float]:
        """As JSON, with keys that stand beside those of other scores."""
        return {"accuracy": self.accuracy, "accuracy_error": self.standard_error, "accuracy_data": self.num_data}


def accuracy(
    pair: Pair,
    batch: Sequence[Tensor],
    labels: Tensor | None,
    fields: Mapping[str, Field],
    seed: int = 0,
    show: Progress | None = None,
) -> Accuracy | None:
    """Compares argmax_y q(y | x) with the labels; the guide sees none of them, the field y is -1 for all data.

    Weights, modes and generators are left as they were. `show` is told where memory runs out and smaller pieces are
    taken.

    Args:
        pair: its guide has a site of classes with the name of a field of classes.
        batch: N data, as `pair.model(*batch)` takes them.
        labels: (N,) the true classes, -1 where one is not known.
        fields: what the batch holds, by name.
        seed: of the draws, where the classes depend on other latents.

    Returns:
        None where the guide does not classify, or no label is known.
    """
    name = classified(pair, batch, fields)
    if name is None or labels is None or not bool((labels >= 0).any()):
        return None
    right = probabilities(pair, batch, name, seed, show).argmax(-1) == labels.cpu()
    found = right[labels.cpu() >= 0].double()
    share = found.mean().item()
    return Accuracy(share, math.sqrt(share * (1 - share) / len(found)), len(found))


def classified(pair: Pair, batch: Sequence[Tensor], fields: Mapping[str, Field]) -> str | None:
    """The latent site of classes that has the name of a field of as many classes; None where there is none."""
    with scoring(pair, 0):
        latent = sites(draw(pair.guide, placed(pair, [tensor[:2] for tensor in batch])), observed=False)
    for name, site in latent.items():
        field, q = fields.get(name), class_of(site)
        if name in pair.inputs and q is not None and field is not None and field.kind == "category":
            return name if q.probs.shape[1:] == (field.size,) else None
    return None


def probabilities(
    pair: Pair, batch: Sequence[Tensor], name: str, seed: int = 0, show: Progress | None = None
) -> Tensor:
    """q(y | x) with the field `name` hidden, (N, classes), on the CPU: exact where the site comes first in the guide,
    else the mean over `DRAWS` draws of the latents."""
    device = device_of(pair)
    hidden = [
        torch.full_like(tensor, -1) if field == name else tensor
        for field, tensor in zip(pair.inputs, batch, strict=True)
    ]

    def work(rows: slice) -> Tensor:
        part = placed(pair, [tensor[rows] for tensor in hidden])
        latent = sites(draw(pair.guide, part), observed=False)
        if name != next(iter(latent)):
            latent = sites(draw(particles(pair.guide, DRAWS), part), observed=False)
        q = class_of(latent[name])
        assert q is not None
        return q.probs.reshape(-1, first_dim(part), q.probs.shape[-1]).mean(0).cpu()

    with scoring(pair, seed):
        size = data_at_once(pair, hidden)
        return torch.cat([found for _, found in memory.halved(first_dim(batch), size, work, device, show)])
