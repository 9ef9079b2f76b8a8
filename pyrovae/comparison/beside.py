"""Runs that are there already, scored on the same data and compared with the first of them, datum by datum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyrovae import evaluation
from pyrovae.data.dataset import Part
from pyrovae.data.raw import DataSpec
from pyrovae.errors import UsageError, require_whole
from pyrovae.runs import paired
from pyrovae.runs.run import Run
from pyrovae.runtime.notebook import Lines, Shown
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json


@dataclass(frozen=True, repr=False)
class Beside(Shown):
    """The scores of one run, nats a datum.

    Attributes:
        run: where it lies.
        model, guide: what was fitted.
        elbo: ELBO, rate and distortion.
        likelihood: the log-likelihood of each datum.
        difference: of the log-likelihoods, less those of the first run, paired; None of the first.
        parameters: how many numbers were trained.
    """

    run: str
    model: str
    guide: str
    elbo: dict[str, float]
    likelihood: evaluation.LogLikelihood
    difference: Json | None
    parameters: int

    def lines(self) -> Lines:
        """What was fitted, its scores, and by how much they differ from those of the first run."""
        (_, likelihood), (_, verdict) = self.likelihood.lines()
        lines = [
            ("", f"{self.model} with guide {self.guide}, {self.run or 'not saved'}"),
            ("log-likelihood", likelihood),
        ]
        lines += [("", verdict), ("ELBO", f"{self.elbo['elbo']:.3f} nats")]
        return lines if self.difference is None else [*lines, ("", self.difference["verdict"])]

    def summary(self) -> Json:
        """Everything as numbers and sentences, by name."""
        named = {"run": self.run, "model": self.model, "guide": self.guide, "parameters": self.parameters}
        return {**named, **self.elbo, **self.likelihood.summary(), "difference": self.difference}


def compare_runs(
    runs: Sequence[Run],
    samples: int = 200,
    limit: int | None = None,
    split: Part = "test",
    seed: int = 0,
    show: Progress | None = None,
    data: DataSpec | None = None,
) -> list[Beside]:
    """Scores every run on the same rows.

    Args:
        runs: two or more, on the same data, of any models and guides.
        samples: importance samples of each log-likelihood.
        limit: of the data, evenly spaced; None takes all.
        split: of the data of the runs.
        seed: of the noise.
        show: progress.
        data: others, that were in none of the runs.

    Raises:
        UsageError: for fewer than two runs.
        PyrovaeError: where two do not score the same data in the same measure.
    """
    require_whole(samples=samples, limit=limit)
    if len(runs) < 2:
        raise UsageError("a comparison takes two runs or more: name another")
    runs = [run.on(data) for run in runs]
    for run in runs[1:]:
        paired.require_comparable(run, runs[0], split)
    found: list[Beside] = []
    for run in runs:
        batch, lengths, _ = run.some(split, limit)
        elbo = evaluation.elbo(run.pair, batch, seed=seed, show=show)
        scored = evaluation.log_likelihood_over_ranks(run.pair, batch, samples, seed, lengths, show=show)
        first = found[0].likelihood.log_likelihood if found else None
        beside = None if first is None else paired.difference(run, runs[0], scored.log_likelihood, first)
        found.append(
            Beside(
                run="" if run.path is None else str(run.path),
                model=run.recipe.model or "own pair",
                guide=str(run.recipe.guide or "its own"),
                elbo=elbo,
                likelihood=scored,
                difference=beside,
                parameters=sum(parameter.numel() for parameter in run.pair.parameters()),
            )
        )
    return found
