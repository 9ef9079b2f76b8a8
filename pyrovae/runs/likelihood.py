"""log p(x) of the data of a run, by each estimator: verbs of `pyrovae.runs.run.Run`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pyrovae import evaluation
from pyrovae.data.dataset import Part
from pyrovae.data.raw import DataSpec
from pyrovae.estimators import CHAINS, IMPORTANCE, Proposal, Start
from pyrovae.evaluation import AIS, LogLikelihood, Refitted, Sandwich
from pyrovae.runs.subject import Drawn
from pyrovae.runtime.progress import Progress


def log_likelihood(
    run: Drawn,
    samples: int = IMPORTANCE.samples,
    split: Part = "test",
    limit: int | None = None,
    *,
    chunk: int | None = IMPORTANCE.chunk,
    proposal: Proposal | Refitted = IMPORTANCE.proposal,
    wider: float = IMPORTANCE.wider,
    target_se: float | None = IMPORTANCE.target_se,
    max_samples: int = IMPORTANCE.max_samples,
    seed: int = 0,
    show: Progress | None = None,
    compile: bool | None = None,
    data: DataSpec | None = None,
) -> LogLikelihood:
    """Importance-sampled log p(x) of a split, or of its first `limit` data, or of `data`; see
    `pyrovae.log_likelihood`."""
    run = run.on(data)
    return evaluation.log_likelihood_over_ranks(
        run.pair,
        run.split(split, limit),
        samples,
        seed,
        run.lengths(split, limit),
        chunk=chunk,
        proposal=proposal,
        wider=wider,
        target_se=target_se,
        max_samples=max_samples,
        show=show,
        compile=compile,
    )


def ais(
    run: Drawn,
    steps: int = CHAINS.steps,
    chains: int = CHAINS.chains,
    split: Part = "test",
    limit: int | None = None,
    *,
    leapfrog: int = CHAINS.leapfrog,
    start: Start = CHAINS.start,
    seed: int = 0,
    show: Progress | None = None,
    compile: bool | None = None,
    data: DataSpec | None = None,
) -> AIS:
    """log p(x) of a split, or of its first `limit` data, or of `data`, by chains; see `pyrovae.evaluation.ais`."""
    run = run.on(data)
    batch, lengths = run.split(split, limit), run.lengths(split, limit)
    return evaluation.ais(run.pair, batch, steps, chains, leapfrog, start, seed, show, lengths, compile)


def bdmc(
    run: Drawn,
    steps: int = CHAINS.steps,
    chains: int = CHAINS.chains,
    split: Part = "test",
    limit: int | None = None,
    *,
    leapfrog: int = CHAINS.leapfrog,
    start: Start = CHAINS.start,
    seed: int = 0,
    show: Progress | None = None,
    compile: bool | None = None,
    data: DataSpec | None = None,
) -> Sandwich:
    """Bounds from both sides on data that the model simulates, as many as the split has and under its conditions; see
    `pyrovae.evaluation.bdmc`."""

    def lengths(batch: Sequence[Tensor]) -> Tensor:
        assert run.vocabulary is not None
        return batch[run.pair.inputs.index("x")].ne(run.vocabulary.pad).sum(-1)

    run = run.on(data)
    measure = None if run.vocabulary is None else lengths
    batch = run.split(split, limit)
    return evaluation.bdmc(run.pair, batch, steps, chains, leapfrog, start, seed, show, measure, compile)
