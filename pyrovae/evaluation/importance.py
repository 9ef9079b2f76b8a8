"""Importance-sampled log-likelihood, one estimate a datum (Burda, Grosse & Salakhutdinov 2016; Rezende et al. 2014)."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.evaluation.chunks import device_of, precise, split
from pyrovae.pair import Pair, first_dim
from pyrovae.progress import Progress, progress
from pyrovae.seeding import seeded
from pyrovae.traces import evaluating, log_weights, require_per_datum, rows, unvalidated


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
    """

    log_likelihood: Tensor
    standard_error: Tensor
    ess: Tensor
    samples: int
    seconds: float

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
        }


def log_likelihood(
    pair: Pair,
    batch: Sequence[Tensor],
    samples: int = 1000,
    chunk: int | None = None,
    seed: int = 0,
    show: Progress | None = None,
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

    Raises:
        PyrovaeError: where the pair has no weight of its own for each datum.
        UsageError: for a number of samples or a chunk below 1.
    """
    if samples < 1 or (chunk is not None and chunk < 1):
        raise UsageError(f"samples = {samples} and chunk = {chunk} must be at least 1")
    if first_dim(batch) == 0:
        raise PyrovaeError("the log-likelihood of no data is not defined: give at least one datum")
    started, device = time.perf_counter(), device_of(pair)
    with seeded(seed, device), torch.no_grad(), unvalidated(), evaluating(pair):
        found = require_per_datum(pair, [tensor[:2].to(device) for tensor in batch], "a log-likelihood")
        if not found.latent:
            samples = 1  # nothing is drawn: one weight is exact
        one = [tensor[:1].to(device) for tensor in batch]
        data, at_once = split(lambda: log_weights(pair, one, 1), first_dim(batch), samples, device)
    at_once = min(samples, chunk or at_once)
    pieces = []
    with torch.no_grad(), unvalidated(), evaluating(pair), seeded(seed, device), show or progress(False) as shown:
        shown.start("log-likelihood", total=math.ceil(first_dim(batch) / data))
        for part in rows([tensor.to(device) for tensor in batch], data):
            first = second = torch.full((first_dim(part),), -torch.inf, dtype=precise(device), device=device)
            for start in range(0, samples, at_once):
                weight = log_weights(pair, part, min(at_once, samples - start)).to(precise(device))
                first = torch.logaddexp(first, weight.logsumexp(0))
                second = torch.logaddexp(second, (2 * weight).logsumexp(0))
            pieces.append(torch.stack([first, second]).cpu())
            mean = torch.cat(pieces, 1)[0].mean().item() - math.log(samples)
            shown.advance(log_likelihood=mean)
    first, second = torch.cat(pieces, 1)
    ess = (2 * first - second).exp().clamp(1.0, samples)
    error = (1 / ess - 1 / samples).clamp_min(0).sqrt()
    if samples == 1 and found.latent:
        error = torch.full_like(error, torch.nan)
    return LogLikelihood(
        log_likelihood=first - math.log(samples),
        standard_error=error,
        ess=ess,
        samples=samples,
        seconds=time.perf_counter() - started,
    )
