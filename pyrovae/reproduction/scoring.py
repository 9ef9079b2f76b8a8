"""The figures of a trained run that a recipe asks for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from pyrovae import evaluation
from pyrovae.reproduction.recipes import Score
from pyrovae.runs.evaluate import words
from pyrovae.runs.run import Run
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.seeding import MOST
from pyrovae.storage.jsonable import Json


def scores(run: Run, score: Score, seed: int, show: Progress) -> Json:
    """Figures of the test split, by the names of `pyrovae.reproduction.figures`, and beside them what they rest on.

    ELBO, rate, NLL and perplexity are those of the whole split. Importance sampling scores `score.limit` data of it;
    the mean of their NLL + ELBO, which varies little from datum to datum, is then added to -ELBO of the whole split,
    and `nll_error` is the standard error of that, from the choice of the data. Active units and mutual information are
    over the scored data. `nll_ais` and `nll_same` are over `score.ais_limit` data, by annealed importance sampling and
    by importance sampling. Where `likelihood="bce"` scores grayscale, there is no likelihood, and no NLL.
    """
    batch = run.split("test")
    draws = [evaluation.elbo(run.pair, batch, seed=(seed + i) % MOST, show=show) for i in range(score.elbo_draws)]
    found: dict[str, Any] = {name: statistics.fmean(each[name] for each in draws) for name in ("elbo", "rate")}
    found |= {"elbo_draws": score.elbo_draws, "elbo_data": len(batch[0])}
    if (test := run.outcome.test) is not None and test.accuracy is not None:
        found["accuracy"] = test.accuracy["accuracy"]
    part, lengths, _ = run.some("test", score.limit)
    found |= _latents(run, part, seed, show)
    if getattr(run.recipe.options, "likelihood", None) == "bce":
        return found
    found |= _likelihood(run, part, lengths, len(batch[0]), found["elbo"], score.samples, seed, show)
    if run.vocabulary is not None:
        tokens = words(run, batch)
        found |= {"words": tokens, "perplexity": math.exp(found["nll"] * len(batch[0]) / tokens)}
    if score.ais_steps:
        found |= _annealed(run, score, seed, show)
    return found


def _latents(run: Run, part: Sequence[Tensor], seed: int, show: Progress) -> Json:
    """What z is used for; nothing for a pair without z."""
    diagnostics = evaluation.diagnose(run.pair, part, seed=seed, show=show)
    if not diagnostics.rate:
        return {}
    found: dict[str, Any] = {
        "active_units": sum(diagnostics.active_units.values()),
        "units": sum(diagnostics.units.values()),
    }
    information = evaluation.mutual_information(run.pair, part, seed, show=show)
    if information is not None:
        found |= {"information": information.nats, "information_cap": information.cap}
    return found


def _likelihood(
    run: Run,
    part: Sequence[Tensor],
    lengths: Tensor | None,
    n: int,
    elbo: float,
    samples: int,
    seed: int,
    show: Progress,
) -> Json:
    """By importance sampling of some of n data, whose mean ELBO is known."""
    likelihood = evaluation.log_likelihood(run.pair, part, samples, seed=seed, lengths=lengths, show=show)
    summary = likelihood.summary()
    found = {f"nll_{name}": summary[name] for name in ("samples", "trusted", "ess", "pareto_k", "seconds")}
    found |= {"nll_data": len(part[0]), "nll_scored": -summary["log_likelihood"]}
    found["nll"], found["nll_error"] = found["nll_scored"], summary["standard_error"]
    if len(part[0]) < n:
        same = evaluation.elbo_per_datum(run.pair, part, seed=seed, lengths=lengths, show=show)
        found["nll"], found["nll_error"] = of_all(elbo, -likelihood.log_likelihood, same.elbo, n)
    return found


def of_all(elbo: float, nll: Tensor, same: Tensor, n: int) -> tuple[float, float]:
    """The mean NLL of n data and its standard error, from that of some of them: -ELBO and the mean of NLL + ELBO.

    Args:
        elbo: the mean of all n.
        nll: (m,) of the m that were scored.
        same: (m,) their ELBO.
        n: how many there are.
    """
    gap = nll + same
    error = gap.std().item() / math.sqrt(len(gap)) * math.sqrt(1 - len(gap) / n) if len(gap) > 1 else math.nan
    return gap.mean().item() - elbo, error


def _annealed(run: Run, score: Score, seed: int, show: Progress) -> Json:
    """By annealed importance sampling, and by importance sampling of the same data."""
    part, lengths, _ = run.some("test", score.ais_limit)
    common: dict[str, Any] = {"seed": seed, "lengths": lengths, "show": show}
    annealed = evaluation.ais(run.pair, part, score.ais_steps, score.chains, **common).summary()
    sampled = evaluation.log_likelihood(run.pair, part, score.samples, **common).summary()
    return {
        "nll_ais": -annealed["log_likelihood"],
        "nll_ais_error": annealed["standard_error"],
        "nll_same": -sampled["log_likelihood"],
        "ais_data": len(part[0]),
        "ais_steps": score.ais_steps,
        "ais_chains": score.chains,
        "ais_seconds": annealed["seconds"],
    }
