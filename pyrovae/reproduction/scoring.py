"""The figures of a trained run that a recipe asks for."""

from __future__ import annotations

import math
import statistics
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
    by importance sampling.
    """
    batch, lengths = run.split("test"), run.lengths("test")
    draws = [evaluation.elbo(run.pair, batch, seed=seed + i, show=show) for i in range(score.elbo_draws)]
    found: dict[str, Any] = {name: statistics.fmean(each[name] for each in draws) for name in ("elbo", "rate")}
    found |= {"elbo_draws": score.elbo_draws, "elbo_data": len(batch[0])}
    if "test_accuracy" in run.results:
        found["accuracy"] = run.results["test_accuracy"]

    chosen = evenly(len(batch[0]), score.limit or len(batch[0]))
    part = [tensor[chosen] for tensor in batch]
    part_lengths = None if lengths is None else lengths[chosen]
    diagnostics = evaluation.diagnose(run.pair, part, seed=seed, show=show)
    if diagnostics.units:
        found["active_units"] = sum(diagnostics.active_units.values())
        found["units"] = sum(diagnostics.units.values())
        information = evaluation.mutual_information(run.pair, part, seed, show=show)
        if information is not None:
            found |= {"information": information.nats, "information_cap": information.cap}
    likelihood = evaluation.log_likelihood(run.pair, part, score.samples, seed=seed, lengths=part_lengths, show=show)
    summary = likelihood.summary()
    found |= {f"nll_{name}": summary[name] for name in ("samples", "trusted", "ess", "pareto_k", "seconds")}
    found |= {
        "nll_data": len(chosen),
        "nll_scored": -summary["log_likelihood"],
        "nll_scored_error": summary["standard_error"],
    }
    found["nll"], found["nll_error"] = found["nll_scored"], found["nll_scored_error"]
    if len(chosen) < len(batch[0]):
        same = evaluation.elbo_per_datum(run.pair, part, seed=seed, lengths=part_lengths, show=show)
        found["nll"], found["nll_error"] = of_all(found["elbo"], -likelihood.log_likelihood, same.elbo, len(batch[0]))
    if run.vocabulary is not None:
        words = int(batch[run.pair.inputs.index("x")].ne(run.vocabulary.pad).sum())
        found |= {"words": words, "perplexity": math.exp(found["nll"] * len(batch[0]) / words)}
    if score.ais_steps:
        chosen = evenly(len(batch[0]), score.ais_limit)
        part = [tensor[chosen] for tensor in batch]
        annealed = evaluation.ais(run.pair, part, score.ais_steps, score.chains, seed=seed, show=show).summary()
        sampled = evaluation.log_likelihood(run.pair, part, score.samples, seed=seed, show=show).summary()
        found |= {"nll_ais": -annealed["log_likelihood"], "nll_ais_error": annealed["standard_error"]}
        found |= {"nll_same": -sampled["log_likelihood"], "ais_data": len(part[0])}
        found |= {"ais_steps": score.ais_steps, "ais_chains": score.chains, "ais_seconds": annealed["seconds"]}
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
