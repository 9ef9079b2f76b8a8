"""What a fit is scored by at its end."""

from __future__ import annotations

import time
from typing import Any

from pyrovae import evaluation
from pyrovae.errors import PyrovaeError
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.runs.run import Run
from pyrovae.runtime.progress import Progress
from pyrovae.training.loop import Trained


def scores(run: Run, config: TrainConfig, shown: Progress) -> dict[str, Any]:
    """ELBO and accuracy over the whole test split, log-likelihood over `score_limit` data of it; by one draw of it.

    These are evenly spaced, as the order of a split may mean something; where they are fewer than the split has,
    `scored_elbo` is the ELBO of the same data as the log-likelihood.
    """
    started, batch = time.perf_counter(), run.split("test")
    results: dict[str, Any] = {
        f"test_{name}": value for name, value in evaluation.elbo(run.pair, batch, show=shown).items()
    }
    if (right := run.accuracy(show=shown)) is not None:
        results |= {f"test_{name}": value for name, value in right.summary().items()}
    part, lengths, _ = run.some("test", config.score_limit)
    if len(part[0]) < len(batch[0]):
        results["scored_elbo"] = evaluation.elbo(run.pair, part, show=shown)["elbo"]
    try:
        run.scored = evaluation.log_likelihood_over_ranks(
            run.pair,
            part,
            config.score_samples,
            show=shown,
            lengths=lengths,
            compile=False if config.compile is False else None,  # `compile` is about the steps
        )
        summary = run.scored.summary()
    except PyrovaeError as error:  # a global latent: what was trained stands, without this score
        shown.line(f"note: no log-likelihood: {error}")
        summary = {"log_likelihood": None, "standard_error": None}
    for spent in ("seconds", "lowering_seconds"):  # `score_seconds` is all of it, and the steps have the other
        summary.pop(spent, None)
    results |= summary
    return results | {"score_seconds": time.perf_counter() - started}


def outcome(trained: Trained, pair: Pair) -> dict[str, Any]:
    return {
        "stopped": trained.stopped,
        "why": trained.why or None,
        "warnings": [],
        "best_epoch": trained.best_epoch,
        "epochs": len(trained.metrics),
        "steps": trained.steps,
        "inner_steps": trained.inner,
        "skipped_steps": trained.skipped,
        "parameters": sum(parameter.numel() for parameter in pair.parameters()),
        "train_seconds": trained.seconds,
        "engine": trained.engine.tier,
        "cuda_graph": trained.engine.cuda_graph,
        "lowering_seconds": trained.engine.seconds,
    }
