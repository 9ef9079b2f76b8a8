"""Importance-sampled log-likelihood, one estimate a datum (Burda, Grosse & Salakhutdinov 2016; Rezende et al. 2014)."""

import dataclasses
import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError, UsageError, option, require_whole
from pyrovae.estimators import IMPORTANCE, Proposal
from pyrovae.evaluation.assumed import tried
from pyrovae.evaluation.importance.growth import grown, reached
from pyrovae.evaluation.importance.proposals import require_proposal, widening
from pyrovae.evaluation.importance.sampler import Sampler
from pyrovae.evaluation.importance.trust import Verdict, verdict
from pyrovae.evaluation.refitting.refit import Refitted, refit
from pyrovae.pairs.assumptions import FEW, Guide, broken_draws, own_guide, require_sound
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import placed
from pyrovae.runtime.notebook import Lines, Shown, nats
from pyrovae.runtime.progress import Progress, progress
from pyrovae.storage.jsonable import Json


@dataclasses.dataclass(frozen=True, repr=False)
class LogLikelihood(Shown):
    """Estimates of log p(x), or log p(x | y) for a conditional pair, in nats; a lower bound in expectation.

    Attributes:
        log_likelihood: (N,) one estimate a datum.
        standard_error: (N,) Monte Carlo standard error of each, by the delta method: sqrt(1 / ESS - 1 / K). NaN for one
            sample, which does not say; 0 where nothing is drawn.
        ess: (N,) effective sample size of the K weights, between 1 and K.
        pareto_k: (N,) shape of the tail of the weights, by the largest of them (see `pareto.py`): above 0.7
            the error and the effective sample size say too little. NaN below 25 samples; 0 where weights are equal.
        smoothed: (N,) the estimate with its largest weights smoothed (PSIS), which has less variance and a small bias.
        drawn: (N,) K of each datum.
        samples: the largest K.
        proposal: what was drawn from.
        target_se: the error that was asked for, nats; None where none was.
        target_reached: whether error and bias of the mean are at most that, and to be trusted.
        seconds: how long it took.
        lowering_seconds: how much of that went to tracing and compiling the weights.
        broken: what the pair does that an estimate of one datum assumes it does not, each in a sentence
            (`pyrovae.evaluation.assumed`): no weight shows it.
        max_samples: the K at which it would have stopped growing towards `target_se`.
    """

    log_likelihood: Tensor
    standard_error: Tensor
    ess: Tensor
    pareto_k: Tensor
    smoothed: Tensor
    drawn: Tensor
    samples: int
    proposal: Proposal = "guide"
    target_se: float | None = None
    target_reached: bool | None = None
    seconds: float = 0.0
    lowering_seconds: float = 0.0
    broken: tuple[str, ...] = ()
    max_samples: int | None = None

    def verdict(self) -> Verdict:
        """How far the mean may be trusted."""
        missed = self.target_se if self.target_reached is False else None
        return verdict(
            *(self.standard_error, self.ess, self.pareto_k, self.drawn, self.proposal, missed, self.broken),
            most=self.max_samples,
        )

    def lines(self) -> Lines:
        """Mean, its Monte Carlo error, and how far to trust it."""
        told, n = self.summary(), len(self.log_likelihood)
        most = "" if told["samples_mean"] == self.samples else "at most "
        drawn = f"{most}{self.samples} samples a datum, {n} data"
        return [("", f"{nats(told['log_likelihood'], told['standard_error'])} ({drawn})"), ("", told["verdict"])]

    def worst(self, count: int) -> Tensor:
        """The rows of the data whose estimates are least to be trusted, the worst first: those that are not finite,
        then by k, then by error. A k that too few samples leave unknown counts as 0."""
        order = self.standard_error.nan_to_num(nan=0.0).argsort(descending=True, stable=True)
        doubt = self.pareto_k.nan_to_num(nan=0.0, posinf=torch.inf)
        doubt = torch.where(self.log_likelihood.isfinite(), doubt, torch.inf)
        return order[doubt[order].argsort(descending=True, stable=True)][:count]

    def summary(self) -> Json:
        """The means, for print and JSON. `standard_error` is the Monte Carlo error of the mean over these data;
        `standard_error_data` is what other data of the same kind would move it (None for one datum); `bias` is how far
        the mean lies too low by the spread of the weights, to first order."""
        n, found, k = len(self.log_likelihood), self.verdict(), self.pareto_k.median().item()
        spread = self.log_likelihood.std().item() / math.sqrt(n) if n > 1 else None
        return {
            "log_likelihood": self.log_likelihood.mean().item(),
            "standard_error": self.standard_error.square().sum().sqrt().item() / n,
            "standard_error_data": spread,
            "smoothed": self.smoothed.mean().item(),
            "bias": found.bias,
            "samples": self.samples,
            "samples_mean": self.drawn.double().mean().item(),
            "num_data": n,
            "ess": self.ess.mean().item(),
            "pareto_k": None if math.isnan(k) else k,
            "pareto_k_above": found.above,
            "doubtful": found.doubtful,
            "trusted": found.trusted,
            "verdict": found.sentence,
            "broken": [*self.broken],
            "worst": self.worst(5).tolist(),
            "proposal": self.proposal,
            "target_se": self.target_se,
            "target_reached": self.target_reached,
            "seconds": self.seconds,
            "lowering_seconds": self.lowering_seconds,
        }


def log_likelihood(
    pair: Pair,
    batch: Sequence[Tensor],
    samples: int = IMPORTANCE.samples,
    chunk: int | None = IMPORTANCE.chunk,
    seed: int = 0,
    show: Progress | None = None,
    lengths: Tensor | None = None,
    compile: bool | None = None,
    proposal: Proposal | Refitted = IMPORTANCE.proposal,
    wider: float = IMPORTANCE.wider,
    target_se: float | None = IMPORTANCE.target_se,
    max_samples: int = IMPORTANCE.max_samples,
    broken: Sequence[str] | None = None,
) -> LogLikelihood:
    """log p(x) ~ log 1/K sum_k p(x, z_k) / q(z_k | x) with z_k ~ q, for each datum.

    The weights are summed in pieces by a running log-sum-exp in double precision: it is one estimate from K samples,
    however they are cut (though the draws follow the pieces). Weights, modes and generators are left as they were.

    Args:
        pair: any pair whose sites all stand in the plate "data".
        batch: the tensors that `pair.model(*batch)` takes, N data.
        samples: K.
        chunk: samples at once, K at most; None fits them to the memory.
        seed: of the noise.
        show: where progress goes; None shows nothing.
        lengths: (N,) of sentences: those of similar length are scored together.
        compile: whether the weights are computed by a compiled graph; None where that is won back
            (`pyrovae.lowering.lower`).
        proposal: q is the `guide`; the guide `widened`; or the guide `refit` for each datum
            (`pyrovae.evaluation.refitting.refit`), which may be given as it was refitted before.
        wider: by how much it is widened.
        target_se: K grows, from `samples` and twofold for the data that need it, until the standard error of the mean
            and its estimated bias are both at most this, nats, and the mean may be trusted; no further where more
            samples would not bring that (`pyrovae.evaluation.importance.trust.clears`). The weights by which each K
            was found are then drawn anew: they stopped a datum where no large weight had come yet, and lie too low.
        max_samples: the K at which it stops growing.
        broken: what was found broken of the pair on these data, where that was tried before.

    Raises:
        PyrovaeError: where the pair has no weight of its own for each datum.
        UsageError: for a number of samples or a chunk below 1, a target that is not positive, or a guide that was
            refitted for another number of data.
    """
    n = first_dim(batch)
    require_counts(samples, chunk, target_se, max_samples)
    refitted = proposal if isinstance(proposal, Refitted) else None
    kind: Proposal = "refit" if isinstance(proposal, Refitted) else proposal
    require_proposal(kind, wider)
    if n == 0:
        raise PyrovaeError("the log-likelihood of no data is not defined: give at least one datum")
    if refitted is not None and len(refitted.elbo) != n:
        raise UsageError(
            f"the guide was refitted for {len(refitted.elbo)} data and is to score {n}: refit it for the same data"
        )
    started = time.perf_counter()
    batch = placed(pair, batch)
    with scoring(pair, seed):
        found = require_sound(pair, batch, "a log-likelihood")
    guide: Guide = widening(wider) if kind == "widened" else own_guide
    # Draws of a refitted guide are tried below, once there is one; the guide as it is has no part in its weights.
    told = tried(pair, batch, found, seed, guide, kind == "refit") if broken is None else tuple(broken)
    if not found.latent:
        samples, target_se, kind = 1, None, "guide"  # nothing is drawn: one weight is exact
    if kind == "refit" and refitted is None:
        refitted = refit(pair, batch, seed=seed, show=show)
    if refitted is not None and pair.own:
        told += of_refitted(pair, batch, refitted, seed)
    program = guide(pair) if found.latent else pair.guide
    shown = show or progress(False)
    with shown:
        with scoring(pair, seed):
            sampler = Sampler(pair, batch, refitted or program, samples, chunk, lengths, compile, shown)
        with scoring(pair, seed):
            if target_se is None:
                collected = sampler.collected(samples)
                sampler.draw(collected, torch.arange(n), samples, "log-likelihood")
            else:
                collected = grown(sampler, samples, target_se, max_samples)
    estimates = collected.estimates()
    if samples == 1 and found.latent:
        estimates = estimates._replace(standard_error=estimates.ess * torch.nan)
    drawn = collected.drawn.cpu()
    met = None if target_se is None else reached(collected, target_se)
    seconds = time.perf_counter() - started
    most = None if target_se is None else max_samples
    took, K = (seconds, sampler.engine.seconds), int(drawn.max())
    return judged(LogLikelihood(*estimates, drawn, K, kind, target_se, met, *took, told, most))


def of_refitted(pair: Pair, batch: Sequence[Tensor], refitted: Refitted, seed: int) -> tuple[str, ...]:
    """What does not hold of draws of a guide that was refitted: it may be narrower than the guide that was tried."""
    few = [tensor[:FEW] for tensor in batch]
    rows = torch.arange(first_dim(few))
    return tuple(broken_draws(pair, few, lambda K: refitted.draw(rows, K)[0], seed))


def judged(found: LogLikelihood) -> LogLikelihood:
    """The same; a target is not reached by an estimate that is not to be trusted, whose error says too little."""
    if found.target_reached and found.verdict().trusted is not True:
        return dataclasses.replace(found, target_reached=False)
    return found


def require_counts(samples: int, chunk: int | None, target_se: float | None, max_samples: int) -> None:
    """Raises UsageError for numbers that make no estimate."""
    require_whole(samples=samples, chunk=chunk, max_samples=max_samples)
    if target_se is None:
        return
    if not (target_se > 0 and math.isfinite(target_se)):
        raise UsageError(f"target_se = {target_se:g} must be a finite number above 0: it is a standard error in nats")
    if samples < 2 or max_samples < samples:
        raise UsageError(
            f"K grows from {option('samples', samples)} up to {option('max_samples', max_samples)}: "
            f"give {option('samples')} of 2 or more, and {option('max_samples')} of at least as many"
        )
