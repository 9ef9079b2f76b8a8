"""Bidirectional Monte Carlo: log p(x) of simulated data between a lower and an upper bound."""

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch
from pyro import poutine
from torch import Tensor

from pyrovae.errors import PyrovaeError
from pyrovae.estimators import CHAINS, Start
from pyrovae.evaluation.annealing.ais import effective, log_mean, over_data
from pyrovae.evaluation.annealing.chains import Annealing, require_annealable
from pyrovae.evaluation.assumed import tried, trust
from pyrovae.evaluation.chunks import MOST_DATA, Piece
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import Structure
from pyrovae.pairs.traces import draw, sites
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.notebook import Lines, Shown, nats
from pyrovae.runtime.progress import Progress, progress
from pyrovae.storage.jsonable import Json


@dataclasses.dataclass(frozen=True, repr=False)
class Sandwich(Shown):
    """Bounds of log p(x), or log p(x | y) for a conditional pair, of N simulated data, in nats.

    Each bound holds in expectation, not for each datum; log p(x) of the simulated data lies between the means.

    Attributes:
        lower: (N,) from chains that start at the prior or the guide (`ais`).
        upper: (N,) from chains that start at the exact posterior.
        ess: (N,) effective number of the chains upwards.
        ess_reverse: (N,) the same downwards.
        acceptance: (N,) mean probability with which HMC moves were taken upwards.
        acceptance_reverse: (N,) the same downwards.
        data: the simulated batch, as `pair.model(*batch)` takes it.
        steps: temperatures between start and posterior, with one move at each.
        chains: C, each way.
        leapfrog: steps of a move.
        start: "prior" or "guide".
        seconds: how long it took.
        lowering_seconds: how much of that went to tracing and compiling a step.
        broken: what the pair does that a bound of one datum assumes it does not, each in a sentence
            (`pyrovae.evaluation.assumed`): no chain shows it.
    """

    lower: Tensor
    upper: Tensor
    ess: Tensor
    ess_reverse: Tensor
    acceptance: Tensor
    acceptance_reverse: Tensor
    data: tuple[Tensor, ...]
    steps: int
    chains: int
    leapfrog: int
    start: Start
    seconds: float
    lowering_seconds: float = 0.0
    broken: tuple[str, ...] = ()

    @property
    def gap(self) -> Tensor:
        """(N,) upper - lower: in expectation at least what `ais` falls short of log p(x) on such data."""
        return self.upper - self.lower

    def lines(self) -> Lines:
        """Both bounds and the width between them, with errors over the data, and what is known against them."""
        told = self.summary()
        ends = f"log p(x) between {told['lower']:.3f} and {told['upper']:.3f} nats"
        several = f"{self.chains} chains" if self.chains > 1 else "1 chain"
        chains = f"{several} of {self.steps} temperatures each way, {told['num_data']} data of the model"
        width = f"{nats(told['gap'], told['gap_standard_error'])} over the data"
        against = [("", told["verdict"])] if told["verdict"] else []
        return [("", f"{ends} ({chains})"), ("width", width), *against]

    def summary(self) -> Json:
        """The means, for print and JSON. Standard errors are over the data (None for one datum), and hold the noise of
        the chains, too."""
        return {
            "lower": self.lower.mean().item(),
            "lower_standard_error": over_data(self.lower),
            "upper": self.upper.mean().item(),
            "upper_standard_error": over_data(self.upper),
            "gap": self.gap.mean().item(),
            "gap_standard_error": over_data(self.gap),
            "steps": self.steps,
            "chains": self.chains,
            "leapfrog": self.leapfrog,
            "start": self.start,
            "num_data": len(self.lower),
            "ess": self.ess.mean().item(),
            "ess_reverse": self.ess_reverse.mean().item(),
            "acceptance": self.acceptance.mean().item(),
            "acceptance_reverse": self.acceptance_reverse.mean().item(),
            **trust(self.broken),
            "seconds": self.seconds,
            "lowering_seconds": self.lowering_seconds,
        }


def bdmc(
    pair: Pair,
    batch: Sequence[Tensor],
    steps: int = CHAINS.steps,
    chains: int = CHAINS.chains,
    leapfrog: int = CHAINS.leapfrog,
    start: Start = CHAINS.start,
    seed: int = 0,
    show: Progress | None = None,
    lengths: Callable[[Sequence[Tensor]], Tensor] | None = None,
    compile: bool | None = None,
) -> Sandwich:
    """Simulates data (z, x) from the model and bounds log p(x) from both sides, which says how far `ais` with these
    settings may be off where nobody knows log p(x).

    Upwards, chains are those of `ais`: E[w] = p(x), so log mean_c w_c is at most log p(x) in expectation. Downwards
    they start at z, an exact draw from p(z | x), and pass the same densities with the same step sizes in the opposite
    order: E[1 / w] = 1 / p(x), so -log mean_c 1 / w_c is at least log p(x) in expectation. Only one exact draw is known
    for each datum, so its C chains share their start: each is valid, and so is their mean, but they are not
    independent, and more of them do not replace more data. Both bounds are of simulated data; real data may be harder.

    Args:
        pair: any pair whose sites all stand in the plate "data", and whose latents are continuous.
        batch: real data: N of them, their conditions, and the shapes of what is simulated (never its content).
        steps, chains, leapfrog, start, seed, show, compile: see `ais`.
        lengths: from a simulated batch to the lengths (N,) of its sentences: those of similar length run together.

    Raises:
        PyrovaeError: as `ais`, and where the model observes what is no field, which nobody can simulate.
        UsageError: as `ais`.

    Roger B. Grosse, Zoubin Ghahramani, Ryan P. Adams: Sandwiching the marginal likelihood using bidirectional Monte
    Carlo. arXiv 2015.
    Yuhuai Wu, Yuri Burda, Ruslan Salakhutdinov, Roger Grosse: On the Quantitative Analysis of Decoder-Based Generative
    Models. ICLR 2017.
    """
    started, device = time.perf_counter(), device_of(pair)
    batch = placed(pair, batch)
    found = require_annealable(pair, batch, steps, chains, leapfrog, start, "bidirectional Monte Carlo")
    if found.unnamed:
        raise PyrovaeError(
            f"observed sites {found.unnamed} are none of the fields {list(pair.inputs)}, and data are simulated field "
            f"by field: give each site the name of its field"
        )
    told = tried(pair, batch, found, seed, model_only=start == "prior")
    with scoring(pair, seed), show or progress(False) as shown:
        data, latents = simulate(pair, batch, found, shown)
        run = Annealing(
            pair, data, steps, chains, leapfrog, start, 2, shown, lengths and lengths(data), compile, "BDMC"
        )
        weights = torch.empty(2, chains, len(data[0]), dtype=precise(device), device=device)
        accepted = torch.empty(2, len(data[0]), dtype=precise(device), device=device)
        done, sums = 0, [0.0, 0.0]

        def both(piece: Piece, part: list[Tensor]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
            sizes = run.pilot(piece, part)
            exact = {name: value[piece.rows] for name, value in latents.items()}
            return run.forward(piece, part, sizes), run.reverse(piece, part, sizes, exact)

        for piece, (up, down) in run.over(both):
            at = piece.rows
            weights[0][:, at], accepted[0, at] = up
            weights[1][:, at], accepted[1, at] = down
            done += len(at)
            sums = [old + log_mean(each[:, at]).sum().item() for old, each in zip(sums, weights, strict=True)]
            shown.advance(lower=sums[0] / done, upper=-sums[1] / done)
    upwards, downwards = weights.cpu()
    return Sandwich(
        lower=log_mean(upwards),
        upper=-log_mean(downwards),
        ess=effective(upwards),
        ess_reverse=effective(downwards),
        acceptance=accepted[0].cpu(),
        acceptance_reverse=accepted[1].cpu(),
        data=tuple(data),
        steps=steps,
        chains=chains,
        leapfrog=leapfrog,
        start=start,
        seconds=time.perf_counter() - started,
        lowering_seconds=run.lowering_seconds,
        broken=told,
    )


def simulate(
    pair: Pair, batch: Sequence[Tensor], found: Structure, show: Progress | None = None
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Draws (z, x) from the model, under the conditions of a batch: the batch with x in it, and z by site."""
    simulated, latents = list[list[Tensor]](), list[dict[str, Tensor]]()

    def work(rows: slice) -> tuple[list[Tensor], dict[str, Tensor]]:
        part = [tensor[rows] for tensor in batch]
        drawn = sites(draw(poutine.uncondition(pair.model), part))
        fields = [
            drawn[name]["value"].to(tensor.dtype).reshape(tensor.shape) if name in found.generated else tensor
            for name, tensor in zip(pair.inputs, part, strict=True)
        ]
        return fields, {name: drawn[name]["value"] for name in found.latent}

    for _, (fields, values) in memory.halved(first_dim(batch), MOST_DATA, work, device_of(pair), show):
        simulated.append(fields)
        latents.append(values)
    return (
        [torch.cat(columns) for columns in zip(*simulated, strict=True)],
        {name: torch.cat([each[name] for each in latents]) for name in found.latent},
    )
