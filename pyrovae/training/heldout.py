"""The held-out data of a fit, and what is scored of them after each epoch."""

from __future__ import annotations

import torch

from pyrovae.data.dataset import Dataset
from pyrovae.errors import UsageError, option
from pyrovae.evaluation.accuracy import accuracy
from pyrovae.evaluation.elbo import TERMS, data_at_once, elbo
from pyrovae.evaluation.latents.information import mutual_information
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import placed
from pyrovae.pairs.structure import require_per_datum
from pyrovae.runtime.ranks import from_first, summed, world
from pyrovae.runtime.seeding import MOST


class HeldOut:
    """The valid split, of which each process scores its part by the same draws at every call.

    Args:
        pair: what is scored; it stands on `device`.
        data: the valid split is read.
        device: where.
        seed: of the draws.
    """

    def __init__(self, pair: Pair, data: Dataset, device: torch.device, seed: int) -> None:
        (self.rank, self.ranks), valid = world(), data.split("valid", pair.inputs)
        self.pair, self.device, self.seed, self.fields = pair, device, seed, data.fields
        self.n, self.batch = len(valid[0]), placed(pair, [tensor[self.rank :: self.ranks] for tensor in valid])
        self.labels = data.labels("valid")
        self.at_once = data_at_once(pair, self.batch)

    def scores(self) -> dict[str, float]:
        """`elbo`, and of the same draws `rate` and `distortion`, nats a datum."""
        from_first(self.pair, buffers_only=True)
        if self.ranks == 1:
            return elbo(self.pair, self.batch, self.at_once, self.seed)
        total = torch.zeros(len(TERMS), dtype=torch.float64)
        if mine := len(self.batch[0]):
            found = elbo(self.pair, self.batch, self.at_once, (self.seed + self.rank) % MOST)
            total += mine * torch.tensor([found[term] for term in TERMS], dtype=torch.float64)
        summed(total)
        return dict(zip(TERMS, (total / self.n).tolist(), strict=True))

    def accuracy(self) -> dict[str, float]:
        """`valid_accuracy` of a guide that classifies; empty where it does not."""
        if self.labels is None:
            return {}
        counts, mine = torch.zeros(2, dtype=torch.float64), self.labels[self.rank :: self.ranks]
        if len(mine) and (found := accuracy(self.pair, self.batch, mine, self.fields, self.seed)):
            counts += torch.tensor([found.accuracy * found.num_data, found.num_data], dtype=torch.float64)
        summed(counts)
        return {"valid_accuracy": float(counts[0] / counts[1])} if counts[1] else {}

    def information(self) -> dict[str, float]:
        """`mutual_information` of data and latents, by which `aggressive` is told to end."""
        found = mutual_information(self.pair, self.batch, self.seed)
        assert found is not None  # a pair without latents has nothing of the guide to train
        return {"mutual_information": found.nats}

    def require_information(self) -> None:
        """Raises UsageError where there is no such information: for several processes, or without a weight a datum."""
        if self.ranks > 1:
            raise UsageError(f"{option('aggressive')} is for one process: leave it out, or leave torchrun out")
        with scoring(self.pair, self.seed):
            require_per_datum(self.pair, [tensor[:2] for tensor in self.batch], option("aggressive"))
