"""The ELBO of each datum."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.errors import require_whole
from pyrovae.evaluation.assumed import tried, verdict
from pyrovae.evaluation.chunks import Shrinking, bytes_of, pieces
from pyrovae.objectives.enumeration import Expectation
from pyrovae.pairs.assumptions import require_sound
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.traces import sites, traces
from pyrovae.runtime.devices import precise
from pyrovae.runtime.notebook import Lines, Shown
from pyrovae.runtime.progress import Progress

DRAWS = 32
"""Draws of z a datum."""


@dataclasses.dataclass(frozen=True, repr=False)
class PerDatum(Shown):
    """Estimates for each datum, nats, (N,) each, double precision on the CPU: elbo = -(rate + distortion).

    Attributes:
        elbo: E_q[log p(x, z) - log q(z | x)].
        rate: E_q[log q(z | x) - log p(z)].
        distortion: -E_q[log p(x | z)].
        broken: what the pair does that a score of one datum assumes it does not, each in a sentence
            (`pyrovae.evaluation.assumed`).
    """

    elbo: Tensor
    rate: Tensor
    distortion: Tensor
    broken: tuple[str, ...] = ()

    def lines(self) -> Lines:
        """The means, and what is known against them."""
        elbo, rate, distortion = (each.mean().item() for each in (self.elbo, self.rate, self.distortion))
        mean = f"ELBO {elbo:.3f} nats (rate {rate:.3f}, distortion {distortion:.3f}, {len(self.elbo)} data)"
        against = verdict(self.broken)
        return [("", mean), *([("", against)] if against else [])]


def elbo_per_datum(
    pair: Pair,
    batch: Sequence[Tensor],
    draws: int = DRAWS,
    seed: int = 0,
    lengths: Tensor | None = None,
    show: Progress | None = None,
) -> PerDatum:
    """ELBO, rate and distortion of each datum, each the mean of `draws` draws z ~ q(z | x).

    Sites that declare `infer={"enumerate": "parallel"}` are summed out, as in the ELBO of a batch.

    The noise starts from `seed`; weights, buffers, modes and random generators are left as they were.

    Args:
        pair: any pair whose sites all stand in the plate "data".
        batch: the tensors that `pair.model(*batch)` takes, N data.
        draws: of z a datum.
        seed: of the noise.
        lengths: (N,) of sentences: those of similar length are scored together.
        show: where it is said that memory ran out and smaller pieces are taken.

    Raises:
        PyrovaeError: where the pair has no ELBO of its own for each datum.
        UsageError: for a number of draws below 1.
    """
    require_whole(draws=draws)
    n, device = first_dim(batch), device_of(pair)
    batch = placed(pair, batch)
    longest = 0 if lengths is None else int(lengths.argmax())
    with scoring(pair, seed):
        sums = torch.zeros(2, n, dtype=precise(device), device=device)  # of log q - log p(z), and of -log p(x | z)
        structure = require_sound(pair, batch, "an ELBO for each datum")
        one = [tensor[longest : longest + 1] for tensor in batch]

        def work(rows: Tensor, K: int) -> Tensor:
            p, q = traces(pair, [tensor[rows] for tensor in batch], K, enumerate=True)
            expected = Expectation(q, 2)
            terms = [(0, site, 1) for site in sites(q, observed=False).values()]
            terms += [(int(site["is_observed"]), site, -1) for site in sites(p).values()]
            found = sums.new_zeros(2, len(rows))
            for which, site, sign in terms:
                # A site that no latent comes before has no particle dim: each particle has its value.
                found[which] += sign * expected(site["log_prob"]).expand(K, len(rows)).sum(0).to(sums.dtype)
            return found

        cut = pieces(bytes_of(lambda: traces(pair, one, 1, enumerate=True)), n, draws, device, lengths)
        shrinking = Shrinking(device, show)
        for part in shrinking.over(cut, draws):
            with shrinking.tried(part):
                sums[:, part.rows] += work(part.rows, part.samples)
    told = tried(pair, batch, structure, seed)
    rate, distortion = (sums / draws).double().cpu()
    return PerDatum(-(rate + distortion), rate, distortion, told)
