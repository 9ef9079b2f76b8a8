"""The log-likelihood of many data by several processes, each of which scores a part of them."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from pyrovae.errors import UsageError
from pyrovae.estimators import IMPORTANCE, PROPOSALS, Proposal
from pyrovae.evaluation.importance.estimate import LogLikelihood, judged, log_likelihood
from pyrovae.evaluation.importance.running import Estimates
from pyrovae.evaluation.importance.trust import meets
from pyrovae.evaluation.refitting.refit import Refitted
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.ranks import sentences, world
from pyrovae.runtime.seeding import MOST

APART = 1_000_003
"""Between the seeds of two processes."""


def log_likelihood_over_ranks(
    pair: Pair,
    batch: Sequence[Tensor],
    samples: int = IMPORTANCE.samples,
    seed: int = 0,
    lengths: Tensor | None = None,
    *,
    chunk: int | None = IMPORTANCE.chunk,
    proposal: Proposal | Refitted = IMPORTANCE.proposal,
    wider: float = IMPORTANCE.wider,
    target_se: float | None = IMPORTANCE.target_se,
    max_samples: int = IMPORTANCE.max_samples,
    show: Progress | None = None,
    compile: bool | None = None,
) -> LogLikelihood:
    """`log_likelihood` of a batch that every process has: process r of W scores the rows r, r + W, r + 2 W, ..

    Where `torch.distributed` is not initialised it is `log_likelihood` itself. With a `target_se` each process reaches
    it for its own data, so that the mean of all is at least as certain.

    Args:
        pair: the same weights in each process, on the device of the process.
        batch: the tensors that `pair.model(*batch)` takes, N data, the same in each process.
        samples: K.
        seed: of the noise of the first process; the others have seeds of their own that follow from it.
        lengths: (N,) of sentences.
        proposal: as in `log_likelihood`; a guide that was refitted before cannot be given to several processes.
        chunk, wider, target_se, max_samples, show, compile: see `log_likelihood`.

    Returns:
        The whole of it, in the order of the data, in each process; `seconds` are those of the slowest.

    Raises:
        PyrovaeError, UsageError: as `log_likelihood`, in each process.
    """
    estimate = functools.partial(
        log_likelihood,
        pair,
        samples=samples,
        chunk=chunk,
        show=show,
        compile=compile,
        proposal=proposal,
        wider=wider,
        target_se=target_se,
        max_samples=max_samples,
    )
    rank, size = world()
    if size == 1:
        return estimate(batch, seed=seed, lengths=lengths)
    if isinstance(proposal, Refitted):
        raise UsageError("a guide that was refitted before holds all data: take proposal = 'refit' with processes")
    started, n, device = time.perf_counter(), first_dim(batch), device_of(pair)
    mine = torch.arange(rank, n, size)
    scored = mine if len(mine) or n == 0 else torch.arange(1)  # a process without data raises as the others do
    own = estimate(
        [tensor[scored.to(tensor.device)] for tensor in batch],
        seed=(seed + APART * rank) % MOST,
        lengths=None if lengths is None else lengths[scored.to(lengths.device)],
    )
    seconds = time.perf_counter() - started
    return _gathered(own, len(mine), n, seconds, device)


def _gathered(own: LogLikelihood, mine: int, n: int, seconds: float, device: torch.device) -> LogLikelihood:
    """The whole of what each process has found: of `mine` data in this one, of n in all."""
    size = world().size
    columns = [getattr(own, name) for name in Estimates._fields]
    here = torch.zeros(-(-n // size), len(columns) + 1, dtype=precise(device), device=device)
    here[:mine] = torch.stack([*columns, own.drawn], 1)[:mine].to(here)
    about = here.new_tensor([PROPOSALS.index(own.proposal), seconds, own.lowering_seconds])
    whole = [torch.empty_like(here) for _ in range(size)]
    every = [torch.empty_like(about) for _ in range(size)]
    distributed.all_gather(whole, here)
    distributed.all_gather(every, about)
    # Row i of process r is datum i * W + r.
    rows = torch.stack(whole, 1).flatten(0, 1)[:n].cpu()
    numbers = torch.stack(every).cpu()
    likelihood, error, ess, k, smoothed, drawn = rows.unbind(1)
    found = LogLikelihood(
        likelihood,
        error,
        ess,
        k,
        smoothed,
        drawn=drawn.long(),
        samples=int(drawn.max()),
        proposal=PROPOSALS[int(numbers[0, 0])],
        target_se=own.target_se,
        target_reached=None if own.target_se is None else meets(error.square(), own.target_se),
        seconds=numbers[:, 1].max().item(),
        lowering_seconds=numbers[:, 2].max().item(),
        broken=sentences(own.broken if mine else ()),
        max_samples=own.max_samples,
    )
    return judged(found)
