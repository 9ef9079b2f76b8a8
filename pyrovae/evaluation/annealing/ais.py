"""Annealed importance sampling: the log-likelihood by chains from the prior or the guide to the posterior."""

import dataclasses
import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.estimators import CHAINS, Start
from pyrovae.evaluation.annealing.chains import Annealing, require_annealable
from pyrovae.evaluation.assumed import tried, trust
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.runtime.devices import precise
from pyrovae.runtime.notebook import Lines, Shown, nats
from pyrovae.runtime.progress import Progress, progress
from pyrovae.storage.jsonable import Json


@dataclasses.dataclass(frozen=True, repr=False)
class AIS(Shown):
    """Estimates of log p(x), or log p(x | y) for a conditional pair, in nats; a lower bound in expectation.

    Attributes:
        log_likelihood: (N,) one estimate a datum.
        standard_error: (N,) Monte Carlo standard error of each, by the delta method from the chains; NaN for one chain,
            which does not say. Where `ess` is near 1 it is too small: no chain may have found where the mass is.
        ess: (N,) effective number of the chains, between 1 and C.
        acceptance: (N,) mean probability with which HMC moves were taken.
        steps: temperatures between start and posterior, with one move at each.
        chains: C.
        leapfrog: steps of a move.
        start: "prior" or "guide".
        seconds: how long it took.
        lowering_seconds: how much of that went to tracing and compiling a step.
        broken: what the pair does that an estimate of one datum assumes it does not, each in a sentence
            (`pyrovae.evaluation.assumed`): no chain shows it.
    """

    log_likelihood: Tensor
    standard_error: Tensor
    ess: Tensor
    acceptance: Tensor
    steps: int
    chains: int
    leapfrog: int
    start: Start
    seconds: float
    lowering_seconds: float = 0.0
    broken: tuple[str, ...] = ()

    def lines(self) -> Lines:
        """Mean, its Monte Carlo error, and what is known of it."""
        told = self.summary()
        several = f"{self.chains} chains" if self.chains > 1 else "1 chain"
        chains = f"{several} of {self.steps} temperatures a datum, {told['num_data']} data"
        known = told["verdict"] or "a lower bound in expectation; bdmc says how far off it is on data of the model"
        return [("", f"{nats(told['log_likelihood'], told['standard_error'])} ({chains})"), ("", known)]

    def summary(self) -> Json:
        """The means, for print and JSON; the errors are those of `pyrovae.evaluation.LogLikelihood.summary`."""
        n = len(self.log_likelihood)
        return {
            "log_likelihood": self.log_likelihood.mean().item(),
            "standard_error": self.standard_error.square().sum().sqrt().item() / n,
            "standard_error_data": over_data(self.log_likelihood),
            "steps": self.steps,
            "chains": self.chains,
            "leapfrog": self.leapfrog,
            "start": self.start,
            "num_data": n,
            "ess": self.ess.mean().item(),
            "acceptance": self.acceptance.mean().item(),
            **trust(self.broken),
            "seconds": self.seconds,
            "lowering_seconds": self.lowering_seconds,
        }


def ais(
    pair: Pair,
    batch: Sequence[Tensor],
    steps: int = CHAINS.steps,
    chains: int = CHAINS.chains,
    leapfrog: int = CHAINS.leapfrog,
    start: Start = CHAINS.start,
    seed: int = 0,
    show: Progress | None = None,
    lengths: Tensor | None = None,
    compile: bool | None = None,
    broken: Sequence[str] | None = None,
) -> AIS:
    """log p(x) ~ log 1/C sum_c w_c for each datum, where a chain z_0, z_1, .. passes through densities f_b that lead
    from the start (b = 0) to p(x, z) (b = 1):

        w = prod_t f_(b_(t + 1))(z_t) / f_(b_t)(z_t),    z_0 ~ f_0,    z_t from z_(t - 1) by HMC under f_(b_t)

    Importance sampling from q needs a q that covers the posterior; this needs moves that find it. Any latents of real
    or constrained support will do (they are moved in unconstrained space). The step sizes are those of a pilot run
    (`pyrovae.evaluation.annealing.chains`). Weights are summed in double precision; weights of the pair, modes and
    generators are left as they were.

    Args:
        pair: any pair whose sites all stand in the plate "data", and whose latents are continuous.
        batch: the tensors that `pair.model(*batch)` takes, N data.
        steps: temperatures between 0 and 1, with one HMC move at each; sigmoidal as in Wu et al.
        chains: C, of each datum.
        leapfrog: leapfrog steps of a move.
        start: "prior": f_b = p(z) p(x | z)^b; "guide": f_b = q(z | x)^(1 - b) p(x, z)^b.
        seed: of the noise.
        show: where progress goes; None shows nothing.
        lengths: (N,) of sentences: those of similar length run together.
        compile: whether a leapfrog step runs as a compiled graph; None where that is won back
            (`pyrovae.lowering.lower`).
        broken: what was found broken of the pair on these data, where that was tried before.

    Raises:
        PyrovaeError: where the pair has no latents, discrete ones, or no weight of its own for each datum.
        UsageError: for steps, chains or leapfrog steps below 1, or another start.

    Radford M. Neal: Annealed importance sampling. Statistics and Computing 2001.
    Yuhuai Wu, Yuri Burda, Ruslan Salakhutdinov, Roger Grosse: On the Quantitative Analysis of Decoder-Based Generative
    Models. ICLR 2017.
    """
    started, device = time.perf_counter(), device_of(pair)
    batch = placed(pair, batch)
    found = require_annealable(pair, batch, steps, chains, leapfrog, start, "annealed importance sampling")
    told = tried(pair, batch, found, seed, model_only=start == "prior") if broken is None else tuple(broken)
    with scoring(pair, seed), show or progress(False) as shown:
        weights = torch.empty(chains, first_dim(batch), dtype=precise(device), device=device)
        accepted = torch.empty(first_dim(batch), dtype=precise(device), device=device)
        run = Annealing(pair, batch, steps, chains, leapfrog, start, 1, shown, lengths, compile, "AIS")
        done, total = 0, 0.0
        for piece, ended in run.over(lambda piece, part: run.forward(piece, part, run.pilot(piece, part))):
            weights[:, piece.rows], accepted[piece.rows] = ended
            done += len(piece.rows)
            total += log_mean(weights[:, piece.rows]).sum().item()
            shown.advance(log_likelihood=total / done)
    weights = weights.cpu()
    ess = effective(weights)
    return AIS(
        log_likelihood=log_mean(weights),
        # The variance of a few weights is estimated with one degree of freedom less.
        standard_error=((1 / ess - 1 / chains).clamp_min(0) * chains / (chains - 1)).sqrt()
        if chains > 1
        else ess * torch.nan,
        ess=ess,
        acceptance=accepted.cpu(),
        steps=steps,
        chains=chains,
        leapfrog=leapfrog,
        start=start,
        seconds=time.perf_counter() - started,
        lowering_seconds=run.lowering_seconds,
        broken=told,
    )


def log_mean(weights: Tensor) -> Tensor:
    """log 1/C sum_c w_c from log weights (C, N)."""
    return weights.logsumexp(0) - math.log(len(weights))


def effective(weights: Tensor) -> Tensor:
    """Effective number (N,) of C log weights (C, N)."""
    return (2 * weights.logsumexp(0) - (2 * weights).logsumexp(0)).exp().clamp(1.0, len(weights))


def over_data(values: Tensor) -> float | None:
    """Standard error of the mean of (N,) over the data; None for one datum."""
    return values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None
