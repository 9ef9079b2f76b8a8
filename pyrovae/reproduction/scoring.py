"""The figures of a trained run that a recipe asks for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from pyrovae import evaluation
from pyrovae.evaluation.chunks import evenly
from pyrovae.progress import Progress
from pyrovae.reproduction.recipes import Score
from pyrovae.run import Run


def scores(run: Run, score: Score, seed: int, show: Progress) -> dict[str, Any]:
    """Figures of the test split, by the names of `pyrovae.reproduction.figures`, and beside them what they rest on.

    ELBO, rate, NLL and perplexity are those of the whole split. Importance sampling scores `score.limit` data of it;
    the mean of their NLL + ELBO, which varies little from datum to datum, is then added to -ELBO of the whole split,
    and `nll_error` is the standard error of that, from the choice of the data. Active units and mutual information are
    over the scored data. `nll_ais` and `nll_same` are over `score.ais_limit` data, by annealed importance sampling and
    by importance sampling. Where `--likelihood bce` scores grayscale, there is no likelihood, and no NLL.
    """
    batch = run.split("test")
    draws = [evaluation.elbo(run.pair, batch, seed=seed + i, show=show) for i in range(score.elbo_draws)]
    found: dict[str, Any] = {name: statistics.fmean(each[name] for each in draws) for name in ("elbo", "rate")}
    found |= {"elbo_draws": score.elbo_draws, "elbo_data": len(batch[0])}
    if "test_accuracy" in run.results:
        found["accuracy"] = run.results["test_accuracy"]
    chosen = evenly(len(batch[0]), score.limit or len(batch[0]))
    part = [tensor[chosen] for tensor in batch]
    found |= _latents(run, part, seed, show)
    if getattr(run.recipe.options, "likelihood", None) == "bce":
        return found
    found |= _likelihood(run, batch, chosen, found["elbo"], score.samples, seed, show)
    if score.ais_steps:
        chosen = evenly(len(batch[0]), score.ais_limit)
        found |= _annealed(run, [tensor[chosen] for tensor in batch], score, seed, show)
    return found


def _latents(run: Run, part: Sequence[Tensor], seed: int, show: Progress) -> dict[str, Any]:
    """What z is used for; nothing for a pair without z."""
    diagnostics = evaluation.diagnose(run.pair, part, seed=seed, show=show)
    if not diagnostics.units:
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
    run: Run, batch: Sequence[Tensor], chosen: Tensor, elbo: float, samples: int, seed: int, show: Progress
) -> dict[str, Any]:
    """By importance sampling of the chosen data."""
    n, lengths = len(batch[0]), run.lengths("test")
    part, of_part = [tensor[chosen] for tensor in batch], None if lengths is None else lengths[chosen]
    likelihood = evaluation.log_likelihood(run.pair, part, samples, seed=seed, lengths=of_part, show=show)
    summary = likelihood.summary()
    found = {f"nll_{name}": summary[name] for name in ("samples", "trusted", "ess", "pareto_k", "seconds")}
    found |= {"nll_data": len(chosen), "nll_scored": -summary["log_likelihood"]}
    found["nll"], found["nll_error"] = found["nll_scored"], summary["standard_error"]
    if len(chosen) < n:
        same = evaluation.elbo_per_datum(run.pair, part, seed=seed, lengths=of_part, show=show)
        found["nll"], found["nll_error"] = of_all(elbo, -likelihood.log_likelihood, same.elbo, n)
    if run.vocabulary is not None:
        words = int(batch[run.pair.inputs.index("x")].ne(run.vocabulary.pad).sum())  # <eos> counted, padding not
        found |= {"words": words, "perplexity": math.exp(found["nll"] * n / words)}
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


def _annealed(run: Run, part: Sequence[Tensor], score: Score, seed: int, show: Progress) -> dict[str, Any]:
    """By annealed importance sampling, and by importance sampling of the same data."""
    annealed = evaluation.ais(run.pair, part, score.ais_steps, score.chains, seed=seed, show=show).summary()
    sampled = evaluation.log_likelihood(run.pair, part, score.samples, seed=seed, show=show).summary()
    return {
        "nll_ais": -annealed["log_likelihood"],
        "nll_ais_error": annealed["standard_error"],
        "nll_same": -sampled["log_likelihood"],
        "ais_data": len(part[0]),
        "ais_steps": score.ais_steps,
        "ais_chains": score.chains,
        "ais_seconds": annealed["seconds"],
    }
