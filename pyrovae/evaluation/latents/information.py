"""How much the latents say of the data: mutual information under the guide, over all data that are scored."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.chunks import LIVE, MOST_DATA, budget, bytes_of, even
from pyrovae.evaluation.elbo import data_at_once
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import require_per_datum
from pyrovae.pairs.traces import draw, particles, sites
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json

SECONDS = 2.0
"""What the estimate may take on a CPU, about: a small part of 200 importance samples of 10,000 images."""

ELEMENT_SECONDS, FLOP_SECONDS = 5e-10, 2e-11
"""What one number that an operation writes and one floating-point operation take on a core, about. The estimate sets
how many draws and data are taken: measured times would set other numbers from run to run."""

DRAWS, FEWEST, PER_DATUM = 1000, 100, 4
"""Draws of z at most: their standard error is then some hundredths to a tenth of a nat. Draws and data at least,
where a density costs much. And draws of one datum at most: more only repeat it."""


@dataclasses.dataclass(frozen=True)
class Information:
    """I(x; z) = E_x E_q(z|x)[log q(z | x) - log q(z)] in nats, q(z) = 1/N sum_j q(z | x_j) over N data.

    Attributes:
        nats: the estimate. That of the N data as they are; for the distribution they come from a lower bound.
        standard_error: of the draws of z.
        upper: an upper bound in expectation for the distribution that the data come from: the same with q(z) over the
            other N - 1 data (Poole et al. 2019, leave one out). None for one datum; infinite where no other datum has
            any density.
        cap: log N, which `nats` cannot exceed.
        draws: of z.
        num_data: N.
    """

    nats: float
    standard_error: float
    upper: float | None
    cap: float
    draws: int
    num_data: int

    def summary(self) -> Json:
        """As JSON."""
        return dataclasses.asdict(self)


def mutual_information(
    pair: Pair,
    batch: Sequence[Tensor],
    seed: int = 0,
    draws: int | None = None,
    data: int | None = None,
    show: Progress | None = None,
) -> Information | None:
    """The mutual information of a batch and all latent sites jointly; None where the pair has no latent site.

    For a conditional pair that of (x, y) and z, as its guide reads both. The aggregate posterior is that of the whole
    batch, never of a minibatch, whose log is a lower cap. Each draw is scored under q(z | x_j) of every datum j.
    Weights, modes and generators are left as they were.

    Matthew D. Hoffman, Matthew J. Johnson: ELBO surgery. NIPS workshop on Advances in Approximate Bayesian Inference
    2016. Ben Poole, Sherjil Ozair, Aaron van den Oord, Alexander A. Alemi, George Tucker: On Variational Bounds of
    Mutual Information. ICML 2019.

    Args:
        pair: any pair whose sites all stand in the plate "data".
        batch: N data.
        seed: of the draws.
        draws: of z, evenly spaced over the data; None sets their number by what one density costs.
        data: of the aggregate posterior at most, evenly spaced; None likewise.
        show: where it is said that memory ran out and smaller pieces are taken.

    Raises:
        PyrovaeError: on an empty batch, or where a site stands outside the plate "data".
    """
    device, n = device_of(pair), first_dim(batch)
    if n == 0:
        raise PyrovaeError("the mutual information of no data is not defined: give at least one datum")
    with scoring(pair, seed):
        whole = list(placed(pair, batch))
        if not require_per_datum(pair, [tensor[:2] for tensor in whole], "a mutual information").latent:
            return None
        if draws is None or data is None:
            most_draws, most_data = affordable(n, seconds_of_one(pair, whole))
            draws, data = draws or most_draws, data or most_data
        if data < n:
            chosen = spread(n, data)
            whole, n = [tensor[chosen] for tensor in whole], data
        owner = spread(n, draws)
        values = drawn(pair, [tensor[owner] for tensor in whole], show)
        own, others = _densities(pair, whole, values, owner.to(device), show)
    found = own - (torch.logaddexp(own, others) - math.log(n))
    return Information(
        nats=found.mean().item(),
        standard_error=found.std().item() / math.sqrt(draws) if draws > 1 else math.nan,
        upper=(own - (others - math.log(n - 1))).mean().item() if n > 1 else None,
        cap=math.log(n),
        draws=draws,
        num_data=n,
    )


def spread(n: int, count: int) -> Tensor:
    """`count` of n rows, evenly spaced; where there are fewer rows, each several times."""
    return torch.arange(count) * n // count


def drawn(pair: Pair, batch: Sequence[Tensor], show: Progress | None = None) -> dict[str, Tensor]:
    """One draw of each latent site from the guide for each datum, (B, *event)."""
    found: dict[str, list[Tensor]] = {}

    def work(rows: slice) -> dict[str, Tensor]:
        latent = sites(draw(pair.guide, [tensor[rows] for tensor in batch]), observed=False)
        return {name: site["value"] for name, site in latent.items()}

    for _, values in memory.halved(first_dim(batch), data_at_once(pair, batch), work, batch[0].device, show):
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: torch.cat(parts) for name, parts in found.items()}


def foreign(pair: Pair, batch: Sequence[Tensor], values: Mapping[str, Tensor]) -> Tensor:
    """log q(z_k | x_b) of all latent sites together, (K, B), for values (K, *event) that are nobody's."""
    K, B = len(next(iter(values.values()))), first_dim(batch)
    # Not left to broadcast: a flow hands a network both the value and the features of x.
    at = {name: value.unsqueeze(1).expand(K, B, *value.shape[1:]) for name, value in values.items()}
    q = draw(particles(pair.guide, K), batch, at)
    q.compute_log_prob()
    total = torch.zeros((), device=batch[0].device)
    for site in sites(q, observed=False).values():
        total = total + site["log_prob"]
    return total.expand(K, B)


def _densities(
    pair: Pair,
    batch: Sequence[Tensor],
    values: Mapping[str, Tensor],
    owner: Tensor,
    show: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """log q(z_k | x_owner(k)), and the log of the sum of q(z_k | x_j) over all other data j, (K,) each."""
    device = batch[0].device
    K, at_once, size = len(owner), *_sizes(pair, batch, values, len(owner))
    own, others = torch.zeros(K, dtype=precise(device), device=device), []
    for start in range(0, K, at_once):
        these = {name: value[start : start + at_once] for name, value in values.items()}
        whose = owner[start : start + at_once].unsqueeze(1)  # (k, 1)
        rest = torch.full((len(whose),), -torch.inf, dtype=precise(device), device=device)

        def work(rows: slice, these: Mapping[str, Tensor] = these, whose: Tensor = whose) -> tuple[Tensor, Tensor]:
            density = foreign(pair, [tensor[rows] for tensor in batch], these).to(precise(device))  # (k, b)
            mine = whose == torch.arange(rows.start, rows.stop, device=device)
            return density.masked_fill(~mine, 0.0).sum(1), density.masked_fill(mine, -torch.inf).logsumexp(1)

        for _, (here, elsewhere) in memory.halved(first_dim(batch), size, work, device, show):
            own[start : start + at_once] += here
            rest = torch.logaddexp(rest, elsewhere)
        others.append(rest)
    return own, torch.cat(others)


def _sizes(pair: Pair, batch: Sequence[Tensor], values: Mapping[str, Tensor], K: int) -> tuple[int, int]:
    """How many draws and how many data go at once: all draws where they fit, so that each datum is encoded once."""
    most = budget(batch[0].device) // LIVE
    one = [tensor[:1] for tensor in batch]
    alone, together = bytes_of(lambda: draw(pair.guide, one)), bytes_of(lambda: foreign(pair, one, values))
    at_once = K if together <= max(most, alone) else even(K, max(1, K * most // together))
    size = max(1, min(MOST_DATA, most * K // (together * at_once)))
    return at_once, size


def affordable(n: int, seconds: float) -> tuple[int, int]:
    """How many draws and data fit `SECONDS` at so many seconds a density: all data where that leaves enough draws."""
    densities = int(SECONDS / seconds)
    draws = min(DRAWS, max(FEWEST, densities // n), PER_DATUM * n)
    return draws, min(n, max(FEWEST, densities // draws))


def seconds_of_one(pair: Pair, batch: Sequence[Tensor]) -> float:
    """Of one density beyond the encoding of its datum: the same number on every machine."""
    one = [tensor[:1] for tensor in batch]
    value = drawn(pair, one)
    three = {name: each.repeat(3, *[1] * (each.dim() - 1)) for name, each in value.items()}
    more = _work(lambda: foreign(pair, one, three)) - _work(lambda: foreign(pair, one, value))
    return max(more / 2, ELEMENT_SECONDS)


class _Written(TorchDispatchMode):
    """Counts the numbers that operations write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        out = func(*args, **(kwargs or {}))
        self.elements += sum(leaf.numel() for leaf in tree_leaves(out) if isinstance(leaf, Tensor))
        return out


def _work(call: Callable[[], object]) -> float:
    """Seconds of a computation by what it writes and multiplies."""
    with _Written() as written:
        call()
    with FlopCounterMode(display=False) as counted:
        call()
    seconds: float = written.elements * ELEMENT_SECONDS + counted.get_total_flops() * FLOP_SECONDS
    return seconds
