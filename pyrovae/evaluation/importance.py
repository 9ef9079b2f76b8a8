"""Importance-sampled log-likelihood, one estimate a datum (Burda, Grosse & Salakhutdinov 2016; Rezende et al. 2014)."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.evaluation.chunks import bytes_of, device_of, pieces, precise
from pyrovae.lowering import Engine, lower
from pyrovae.pair import Pair, first_dim
from pyrovae.progress import Progress, progress
from pyrovae.seeding import seeded
from pyrovae.traces import evaluating, log_weights, require_per_datum, unvalidated

LOWERED_TOLERANCE = 1e-5
"""Relative difference between compiled and eager weights, at most."""


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """Estimates of log p(x), or log p(x | y) for a conditional pair, in nats; a lower bound in expectation.

    Attributes:
        log_likelihood: (N,) one estimate a datum.
        standard_error: (N,) Monte Carlo standard error of each, by the delta method: sqrt(1 / ESS - 1 / K). NaN for one
            sample, which does not say; 0 where nothing is drawn.
        ess: (N,) effective sample size of the K weights, between 1 and K.
        samples: K.
        seconds: how long it took.
        lowering_seconds: how much of that went to tracing and compiling the weights.
    """

    log_likelihood: Tensor
    standard_error: Tensor
    ess: Tensor
    samples: int
    seconds: float
    lowering_seconds: float = 0.0

    def summary(self) -> dict[str, Any]:
        """The means, for print and JSON. `standard_error` is the Monte Carlo error of the mean over these data;
        `standard_error_data` is what other data of the same kind would move it (None for one datum)."""
        n = len(self.log_likelihood)
        spread = self.log_likelihood.std().item() / math.sqrt(n) if n > 1 else None
        return {
            "log_likelihood": self.log_likelihood.mean().item(),
            "standard_error": self.standard_error.square().sum().sqrt().item() / n,
            "standard_error_data": spread,
            "samples": self.samples,
            "num_data": n,
            "ess": self.ess.mean().item(),
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
) -> LogLikelihood:
    """log p(x) ~ log 1/K sum_k p(x, z_k) / q(z_k | x) with z_k ~ q, for each datum.

    The weights are summed in pieces by a running log-sum-exp in double precision: it is one estimate from K samples,
    however they are cut (though the draws follow the pieces). Weights, modes and generators are left as they were.

    Args:
        pair: any pair whose sites all stand in the plate "data".
        batch: the tensors that `pair.model(*batch)` takes, N data.
        samples: K.
        chunk: samples at once; None fits them to the memory.
        seed: of the noise.
        show: where progress goes; None shows nothing.
        lengths: (N,) of sentences: those of similar length are scored together.
        compile: whether the weights are computed by a compiled graph; None where that is won back
            (`pyrovae.lowering.lower`).

    Raises:
        PyrovaeError: where the pair has no weight of its own for each datum.
        UsageError: for a number of samples or a chunk below 1.
    """
    n = first_dim(batch)
    if samples < 1 or (chunk is not None and chunk < 1):
        raise UsageError(f"samples = {samples} and chunk = {chunk} must be at least 1")
    if n == 0:
        raise PyrovaeError("the log-likelihood of no data is not defined: give at least one datum")
    started, device = time.perf_counter(), device_of(pair)
    batch = [tensor.to(device) for tensor in batch]
    longest = 0 if lengths is None else int(lengths.argmax())
    with seeded(seed, device), torch.no_grad(), unvalidated(), evaluating(pair):
        found = require_per_datum(pair, [tensor[:2] for tensor in batch], "a log-likelihood")
        if not found.latent:
            samples = 1  # nothing is drawn: one weight is exact
        one = [tensor[longest : longest + 1] for tensor in batch]
        cut = pieces(bytes_of(lambda: log_weights(pair, one, 1)), n, samples, device, lengths)

    def weights(K: int, *part: Tensor) -> Tensor:
        return log_weights(pair, part, K).to(precise(device))

    first, second = torch.full((2, n), -torch.inf, dtype=precise(device), device=device)
    done, total, variance = 0, 0.0, 0.0
    with torch.no_grad(), unvalidated(), evaluating(pair), seeded(seed, device), show or progress(False) as shown:
        at_once = min(samples, chunk or cut[0].samples)
        call: Callable[..., Tensor] = functools.partial(weights, at_once)
        if lengths is None:
            alike = [piece.rows for piece in cut[:3] if len(piece.rows) == len(cut[0].rows)]
            examples = [[tensor[rows] for tensor in batch] for rows in alike]
            calls = len(cut) * math.ceil(samples / at_once)
            engine = lower(pair, call, examples, calls, compile, shown, LOWERED_TOLERANCE)
        else:
            engine = Engine(call, "eager", "sentences differ in length from piece to piece" if compile else "")
        if told := engine.note("the log-likelihood"):
            shown.line(told)
        shown.start("log-likelihood", total=n)
        for rows, fits in cut:
            part, k = [tensor[rows] for tensor in batch], min(samples, chunk or fits)
            for start in range(0, samples, k):
                drawn = min(k, samples - start)
                weight = engine.call(*part) if drawn == at_once else weights(drawn, *part)
                first[rows] = torch.logaddexp(first[rows], weight.logsumexp(0))
                second[rows] = torch.logaddexp(second[rows], (2 * weight).logsumexp(0))
            these = _estimate(first[rows], second[rows], samples)
            done += len(rows)
            total += these.log_likelihood.sum().item()
            variance += these.standard_error.square().sum().item()
            shown.advance(len(rows), log_likelihood=total / done, standard_error=math.sqrt(variance) / done)
    error_known = samples > 1 or not found.latent
    estimate = _estimate(first, second, samples)
    error = estimate.standard_error if error_known else estimate.ess * torch.nan
    seconds = time.perf_counter() - started
    return dataclasses.replace(estimate, standard_error=error, seconds=seconds, lowering_seconds=engine.seconds)


def _estimate(first: Tensor, second: Tensor, samples: int) -> LogLikelihood:
    """From the log-sums of the weights and of their squares, (N,) each."""
    first, second = first.cpu(), second.cpu()
    ess = (2 * first - second).exp().clamp(1.0, samples)
    return LogLikelihood(
        log_likelihood=first - math.log(samples),
        standard_error=(1 / ess - 1 / samples).clamp_min(0).sqrt(),
        ess=ess,
        samples=samples,
        seconds=0.0,
    )
