"""What a fit is scored by at its end."""

from __future__ import annotations

import time

from pyrovae import evaluation
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.independent import baseline
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.runs.outcome import FinalScores, Outcome
from pyrovae.runs.run import Run
from pyrovae.runtime.progress import Progress
from pyrovae.training.loop import Trained


def scores(run: Run, config: TrainConfig, shown: Progress) -> FinalScores:
    """ELBO and accuracy over the whole test split, log-likelihood over `score_limit` data of it; by one draw of it.

    These are evenly spaced, as the order of a split may mean something; where they are fewer than the split has,
    `scored_elbo` is the ELBO of the same data as the log-likelihood.
    """
    started, batch = time.perf_counter(), run.split("test")
    elbo = evaluation.elbo(run.pair, batch, show=shown)
    accuracy = run.accuracy(show=shown)
    part, lengths, _ = run.some("test", config.score_limit)
    scored_elbo = None
    if len(part[0]) < len(batch[0]):
        scored_elbo = evaluation.elbo(run.pair, part, show=shown)["elbo"]
    try:
        run.scored = evaluation.log_likelihood_over_ranks(
            run.pair,
            part,
            config.score_samples,
            show=shown,
            lengths=lengths,
            compile=False if config.compile is False else None,  # `compile` is about the steps
        )
        likelihood = run.scored.summary()
    except PyrovaeError as error:  # a global latent: what was trained stands, without this score
        shown.line(f"note: no log-likelihood: {error}")
        likelihood = {"log_likelihood": None, "standard_error": None}
    # `score_seconds` is all of it, and the steps have the other; what is broken stands among the warnings of the fit.
    for elsewhere in ("seconds", "lowering_seconds", "broken"):
        likelihood.pop(elsewhere, None)
    return FinalScores(
        **elbo,
        accuracy=None if accuracy is None else accuracy.summary(),
        scored_elbo=scored_elbo,
        likelihood=likelihood,
        baseline=baseline(run.pair, batch, run.data),
        seconds=time.perf_counter() - started,
    )


def unused(run: Run, config: TrainConfig) -> str | None:
    """Why z is not used by `score_limit` data of the test split, as `evaluate` says it; None where it is, and where a
    latent is shared by all data."""
    try:
        return evaluation.unused_of(run.pair, run.some("test", config.score_limit)[0], run.options())
    except PyrovaeError:
        return None


def outcome(trained: Trained, pair: Pair) -> Outcome:
    """How the fit ended, before it is scored."""
    return Outcome(
        stopped=trained.stopped,
        best_epoch=trained.best_epoch,
        epochs=len(trained.metrics),
        steps=trained.steps,
        inner_steps=trained.inner,
        skipped_steps=trained.skipped,
        parameters=sum(parameter.numel() for parameter in pair.parameters()),
        train_seconds=trained.seconds,
        engine=trained.engine.tier,
        cuda_graph=trained.engine.cuda_graph,
        lowering_seconds=trained.engine.seconds,
        why=trained.why or None,
    )
