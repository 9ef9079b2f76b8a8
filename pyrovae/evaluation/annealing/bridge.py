"""The path of densities from the prior or the guide to the posterior."""

from collections.abc import Mapping, Sequence

import torch
from pyro import poutine
from torch import Tensor

from pyrovae.estimators import Start
from pyrovae.evaluation.annealing.hmc import Point
from pyrovae.evaluation.annealing.unconstrained import Unconstrained, flatten, slots_of
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import draw, particles, sites, traces

SHARPNESS = 4.0
"""Of the sigmoidal schedule (Wu et al. 2017): temperatures lie denser near both ends."""


def temperatures(steps: int) -> Tensor:
    """0 = b_0 < b_1 < .. < b_steps < b_(steps + 1) = 1, in double precision (Wu et al. 2017)."""
    rises = torch.sigmoid(SHARPNESS * torch.linspace(-1, 1, steps + 2, dtype=torch.float64))
    return (rises - rises[0]) / (rises[-1] - rises[0])


class Bridge:
    """Densities f_b over the latents of a pair, in unconstrained space, for temperatures b from 0 to 1.

        start "prior":  log f_b = log p(z) + b log p(x | z)
        start "guide":  log f_b = (1 - b) log q(z | x) + b log p(x, z)

    Both are a(b) * first + b * second (`pyrovae.evaluation.annealing.hmc.Point`), so that a point knows them for all b.

    Args:
        pair: any pair whose sites all stand in the plate "data".
        batch: some data.
        start: "prior" or "guide".

    Raises:
        PyrovaeError: where HMC cannot move its latents.
    """

    def __init__(self, pair: Pair, batch: Sequence[Tensor], start: Start) -> None:
        self.pair = pair
        self.start = start
        with torch.no_grad():
            self.slots = slots_of(draw(pair.model, batch))

    def densities(self, u: Tensor, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """u (C, B, D) -> first and second (C, B), nats."""
        unconstrained = Unconstrained(self.slots, u)
        p = draw(unconstrained(particles(self.pair.model, len(u))), batch)
        p.compute_log_prob()
        latent, observed = _total(p, u, False), _total(p, u, True)
        if self.start == "prior":
            return latent + unconstrained.log_det, observed
        values = {name: site["value"] for name, site in sites(p, observed=False).items()}
        q = draw(particles(self.pair.guide, len(u)), batch, values)
        q.compute_log_prob()
        return _total(q, u, False) + unconstrained.log_det, latent + observed + unconstrained.log_det

    def drawn(self, chains: int, batch: Sequence[Tensor]) -> Tensor:
        """u (C, B, D) at temperature 0, exactly."""
        if self.start == "prior":
            return flatten(draw(particles(self.pair.model, chains), batch), self.slots)
        return flatten(traces(self.pair, batch, chains)[0], self.slots)

    def at(self, values: Mapping[str, Tensor], chains: int, batch: Sequence[Tensor]) -> Tensor:
        """u (C, B, D) of latents (B, *event), the same for each chain."""
        wide = {name: value.expand(chains, *value.shape) for name, value in values.items()}
        return flatten(draw(particles(self.pair.model, chains), batch, wide), self.slots)

    def first_share(self, b: Tensor) -> Tensor:
        """a(b)."""
        return torch.ones_like(b) if self.start == "prior" else 1 - b

    def slope(self, point: Point) -> Tensor:
        """d log f_b / db, (C, B), which is the same for all b."""
        return point.second if self.start == "prior" else point.second - point.first


def _total(trace: poutine.Trace, u: Tensor, observed: bool) -> Tensor:
    """Sum of the log-probabilities of the observed or of the latent sites, (C, B)."""
    total = u.new_zeros(u.shape[:-1])
    for site in sites(trace, observed).values():
        total = total + site["log_prob"]
    return total
