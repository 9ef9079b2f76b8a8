"""Importance-sampled log-likelihood, one estimate a datum (Burda, Grosse & Salakhutdinov 2016; Rezende et al. 2014)."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.evaluation.chunks import Piece, bytes_of, device_of, pieces, precise
from pyrovae.evaluation.proposals import WIDER, Proposal, require_proposal, wide
from pyrovae.evaluation.refit import Refitted, refit
from pyrovae.evaluation.trust import Verdict, verdict
from pyrovae.evaluation.weights import Weights
from pyrovae.lowering import Engine, lower
from pyrovae.pair import Pair, first_dim
from pyrovae.progress import Progress, progress
from pyrovae.seeding import seeded
from pyrovae.traces import Program, evaluating, log_joint, log_weights, require_per_datum, unvalidated

LOWERED_TOLERANCE = 1e-5
"""Relative difference between compiled and eager weights, at most."""

MOST = 100_000
"""Samples of a datum, at most, where an error was asked for."""


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """Estimates of log p(x), or log p(x | y) for a conditional pair, in nats; a lower bound in expectation.

    Attributes:
        log_likelihood: (N,) one estimate a datum.
        standard_error: (N,) Monte Carlo standard error of each, by the delta method: sqrt(1 / ESS - 1 / K). NaN for one
            sample, which does not say; 0 where nothing is drawn.
        ess: (N,) effective sample size of the K weights, between 1 and K.
        pareto_k: (N,) shape of the tail of the weights, by the largest of them (`pyrovae.evaluation.pareto`): above 0.7
            the error and the effective sample size say too little. NaN below 25 samples; 0 where weights are equal.
        smoothed: (N,) the estimate with its largest weights smoothed (PSIS), which has less variance and a small bias.
        drawn: (N,) K of each datum.
        samples: the largest K.
        proposal: what was drawn from.
        target_se: the error that was asked for, nats; None where none was.
        target_reached: whether error and bias of the mean are at most that.
        seconds: how long it took.
        lowering_seconds: how much of that went to tracing and compiling the weights.
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

    def verdict(self) -> Verdict:
        """How far the mean may be trusted."""
        missed = self.target_se if self.target_reached is False else None
        return verdict(self.standard_error, self.ess, self.pareto_k, self.drawn, self.proposal, missed)

    def worst(self, count: int) -> Tensor:
        """The rows of the data whose estimates are least to be trusted, the worst first: those that are not finite,
        then by k, then by error. A k that too few samples leave unknown counts as 0."""
        order = self.standard_error.nan_to_num(nan=0.0).argsort(descending=True, stable=True)
        doubt = self.pareto_k.nan_to_num(nan=0.0, posinf=torch.inf)
        doubt = torch.where(self.log_likelihood.isfinite(), doubt, torch.inf)
        return order[doubt[order].argsort(descending=True, stable=True)][:count]

    def summary(self) -> dict[str, Any]:
        """The means, for print and JSON. `standard_error` is the Monte Carlo error of the mean over these data;
        `standard_error_data` is what other data of the same kind would move it (None for one datum); `bias` is how far
        the mean lies too low by the spread of the weights, to first order."""
        n, found = len(self.log_likelihood), self.verdict()
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
            "pareto_k": self.pareto_k.median().item(),
            "pareto_k_above": found.above,
            "doubtful": found.doubtful,
            "trusted": found.trusted,
            "verdict": found.sentence,
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
    samples: int = 1000,
    chunk: int | None = None,
    seed: int = 0,
    show: Progress | None = None,
    lengths: Tensor | None = None,
    compile: bool | None = None,
    proposal: Proposal | Refitted = "guide",
    wider: float = WIDER,
    target_se: float | None = None,
    max_samples: int = MOST,
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
            (`pyrovae.evaluation.refit`), which may be given as it was refitted before.
        wider: by how much it is widened.
        target_se: K grows, from `samples` and twofold for the data that need it, until the standard error of the mean
            and its estimated bias are both at most this, nats. The weights by which each K was found are then drawn
            anew: they stopped a datum where no large weight had come yet, and lie too low.
        max_samples: the K at which it stops growing.

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
    started, device = time.perf_counter(), device_of(pair)
    batch = [tensor.to(device) for tensor in batch]
    longest = 0 if lengths is None else int(lengths.argmax())
    with seeded(seed, device), torch.no_grad(), unvalidated(), evaluating(pair):
        found = require_per_datum(pair, [tensor[:2] for tensor in batch], "a log-likelihood")
        if not found.latent:
            samples, target_se, kind = 1, None, "guide"  # nothing is drawn: one weight is exact
        one = [tensor[longest : longest + 1] for tensor in batch]
        bytes_of_one = bytes_of(lambda: log_weights(pair, one, 1))
    if kind == "refit" and refitted is None:
        refitted = refit(pair, batch, seed=seed, show=show)
    program: Program = wide(pair.guide, wider) if kind == "widened" else pair.guide

    def weights(K: int, *part: Tensor) -> Tensor:
        return log_weights(pair, part, K, guide=program).to(precise(device))

    def refitted_weights(of: Refitted, rows: Tensor, K: int, part: Sequence[Tensor]) -> Tensor:
        values, log_q = of.draw(rows, K)
        return (log_joint(pair.model, part, values, K) - log_q).to(precise(device))

    most = samples if target_se is None else max_samples
    collected = Weights(n, most, torch.zeros((), dtype=precise(device), device=device))
    shown = show or progress(False)
    with torch.no_grad(), unvalidated(), evaluating(pair), seeded(seed, device), shown:
        first = pieces(bytes_of_one, n, samples, device, lengths)
        at_once = min(samples, chunk or first[0].samples)
        call: Callable[..., Tensor] = functools.partial(weights, at_once)
        if refitted is not None:
            engine = Engine(call, "eager")
        elif lengths is not None:
            engine = Engine(call, "eager", "sentences differ in length from piece to piece" if compile else "")
        else:
            alike = [piece.rows for piece in first[:3] if len(piece.rows) == len(first[0].rows)]
            examples = [[tensor[rows] for tensor in batch] for rows in alike]
            calls = len(first) * math.ceil(samples / at_once)
            engine = lower(pair, call, examples, calls, compile, shown, LOWERED_TOLERANCE)
        if told := engine.note("the log-likelihood"):
            shown.line(told)

        def draw(cut: Sequence[Piece], count: int, name: str) -> None:
            """`count` more weights of each datum."""
            shown.start(name, total=sum(len(piece.rows) for piece in cut))
            done, total, variance = 0, 0.0, 0.0
            for rows, fits in cut:
                part, k = [tensor[rows] for tensor in batch], min(count, chunk or fits)
                for start in range(0, count, k):
                    drawn = min(k, count - start)
                    if refitted is not None:
                        weight = refitted_weights(refitted, rows, drawn, part)
                    else:
                        weight = engine.call(*part) if drawn == at_once else weights(drawn, *part)
                    collected.add(rows, weight)
                done += len(rows)
                total += collected.mean(rows).sum().item()
                variance += collected.squared_error(rows).sum().item()
                shown.advance(len(rows), log_likelihood=total / done, standard_error=math.sqrt(variance) / done)

        draw(first, samples, "log-likelihood")

        def draw_more(rows: Tensor, count: int) -> None:
            theirs = None if lengths is None else lengths[rows.cpu()]
            part = pieces(bytes_of_one, len(rows), count, device, theirs)
            cut = [Piece(rows[piece.rows], piece.samples) for piece in part]
            draw(cut, count, f"{int(collected.drawn[rows[0]]) + count} samples")

        for rows, count in growing(collected, target_se, max_samples):
            draw_more(rows, count)
        if target_se is not None and collected.drawn.max() > samples:
            needed, collected = collected.drawn, Weights(n, most, torch.zeros((), dtype=precise(device), device=device))
            for count in needed.unique().tolist():
                draw_more((needed == count).nonzero().flatten(), count)
            # All alike: no datum is stopped by its own weights.
            while not reached(collected, target_se) and (collected.drawn < max_samples).any():
                for rows, count in doubled(collected, collected.drawn < max_samples, max_samples):
                    draw_more(rows, count)
    estimates = collected.estimates()
    if samples == 1 and found.latent:
        estimates = estimates._replace(standard_error=estimates.ess * torch.nan)
    drawn = collected.drawn.cpu()
    seconds = time.perf_counter() - started
    met = None if target_se is None else reached(collected, target_se)
    return LogLikelihood(*estimates, drawn, int(drawn.max()), kind, target_se, met, seconds, engine.seconds)


def require_counts(samples: int, chunk: int | None, target_se: float | None, max_samples: int) -> None:
    """Raises UsageError for numbers that make no estimate."""
    if samples < 1 or (chunk is not None and chunk < 1):
        raise UsageError(f"samples = {samples} and chunk = {chunk} must be at least 1")
    if target_se is None:
        return
    if not (target_se > 0 and math.isfinite(target_se)):
        raise UsageError(f"target_se = {target_se:g} must be a finite number above 0: it is a standard error in nats")
    if samples < 2 or max_samples < samples:
        raise UsageError(
            f"K grows from --samples {samples} up to --max-samples {max_samples}: give --samples of 2 or more, and "
            f"--max-samples of at least as many"
        )


def growing(collected: Weights, target: float | None, most: int) -> Iterator[tuple[Tensor, int]]:
    """The data that need more samples for a mean that is as certain as `target`, and how many; all at most `most`."""
    if target is None:
        return
    n = len(collected.drawn)
    while not reached(collected, target):
        need = (collected.squared_error() > min(2 * target, n * target**2)) & (collected.drawn < most)
        if not need.any():
            return
        yield from doubled(collected, need, most)


def reached(collected: Weights, target: float) -> bool:
    """Whether error and bias of the mean are at most `target`; data without a finite estimate have no say."""
    square = collected.squared_error()
    square = torch.where(square.isfinite(), square, 0.0)
    # By the delta method a mean of n estimates has this error, and each lies half its variance too low.
    return bool(square.sum().sqrt() / len(square) <= target and square.mean() / 2 <= target)


def doubled(collected: Weights, which: Tensor, most: int) -> Iterator[tuple[Tensor, int]]:
    """Rows of the same number of samples, and how many more make twice as many, or `most`."""
    before = collected.drawn.clone()  # it grows between the yields
    for count in before[which].unique().tolist():
        yield (which & (before == count)).nonzero().flatten(), min(count, most - count)
