"""The held-out ELBO."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.chunks import bytes_of, pieces
from pyrovae.objectives.elbo import ELBO
from pyrovae.pairs.assumptions import require_elbo
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import running
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress

TERMS = ("elbo", "rate", "distortion")


def elbo(
    pair: Pair,
    batch: Sequence[Tensor],
    batch_size: int | None = None,
    seed: int = 0,
    show: Progress | None = None,
) -> dict[str, float]:
    """Single-sample estimates of ELBO, rate and distortion, mean nats a datum.

    The noise starts from `seed`, so two weights are compared on the same draws; weights, buffers, modes and random
    generators are left as they were. `batch_size` None is what fits the memory (`data_at_once`); where it does not,
    smaller pieces are taken, and `show` says so.

    Raises:
        PyrovaeError: on an empty batch, and where a handler scales or masks a site. Of a pair of the user's own without
            `batch_size` also where data, or what the guide draws, lie outside a support.
    """
    if first_dim(batch) == 0:
        raise PyrovaeError("the ELBO of no data is not defined: give at least one datum")
    if pair.own and batch_size is None:  # where the size is known, the same data are scored time and again
        require_elbo(pair, batch)
    size = batch_size or data_at_once(pair, batch)
    device, objective = device_of(pair), ELBO(pair)

    def work(rows: slice) -> Tensor:
        part = placed(pair, [tensor[rows] for tensor in batch])
        terms = objective(*part, fraction=first_dim(part) / first_dim(batch))
        return torch.stack([terms.elbo, terms.rate, terms.distortion])

    with scoring(pair, seed):
        total = torch.zeros(len(TERMS), dtype=precise(device), device=device)
        for _, terms in memory.halved(first_dim(batch), size, work, device, show):
            total += terms
    values = (total / first_dim(batch)).tolist()
    return dict(zip(TERMS, values, strict=True))


def data_at_once(pair: Pair, batch: Sequence[Tensor]) -> int:
    """How many data of a batch fit the memory at one draw of z each; leaves everything as it was."""
    device = device_of(pair)
    one = placed(pair, [tensor[:1] for tensor in batch])
    with running(pair, one), scoring(pair, 0):
        return len(pieces(bytes_of(lambda: ELBO(pair)(*one)), first_dim(batch), 1, device)[0].rows)
