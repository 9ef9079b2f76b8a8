"""How a fit ended, and what it scored: the results that run.json holds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.independent import Baseline
from pyrovae.lowering.engine import Tier
from pyrovae.runtime.notebook import Lines, Shown, nats
from pyrovae.storage.jsonable import Json, JsonMapping


class Summary(Mapping[str, Any]):
    """Figures that are attributes, and are read by name as well: those of `summary`."""

    @abstractmethod
    def summary(self) -> Json:
        """Everything as numbers, lists and sentences, by name."""

    def __getitem__(self, name: str) -> Any:
        return self.summary()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.summary())

    def __len__(self) -> int:
        return len(self.summary())


@dataclass(frozen=True)
class FinalScores:
    """Scores of the test split, by one draw of it, nats a datum.

    Attributes:
        elbo, rate, distortion: over the whole split; the ELBO is -(rate + distortion).
        accuracy: of a guide that classifies (`pyrovae.evaluation.Accuracy.summary`); None where it does not.
        scored_elbo: the ELBO of the data that the log-likelihood scores, where these are a part of the split.
        likelihood: the summary of the log-likelihood, without seconds.
        baseline: log p(x) of independent dims over the whole split, in closed form, and its name
            (`pyrovae.evaluation.independent`); None where there is none to compare with.
        seconds: what all of it took.
    """

    elbo: float
    rate: float
    distortion: float
    accuracy: dict[str, Any] | None
    scored_elbo: float | None
    likelihood: dict[str, Any]
    seconds: float
    baseline: Baseline | None = None

    def summary(self) -> Json:
        """By the names that run.json has."""
        return {
            "test_elbo": self.elbo,
            "test_rate": self.rate,
            "test_distortion": self.distortion,
            **{f"test_{name}": value for name, value in (self.accuracy or {}).items()},
            **({} if self.scored_elbo is None else {"scored_elbo": self.scored_elbo}),
            **self.likelihood,
            **({} if self.baseline is None else {"baseline": self.baseline._asdict()}),
            "score_seconds": self.seconds,
        }

    @classmethod
    def of(cls, summary: JsonMapping) -> FinalScores:
        """The inverse of `summary`."""
        rest = dict(summary)
        elbo, rate, distortion = (rest.pop(f"test_{name}") for name in ("elbo", "rate", "distortion"))
        seconds, scored_elbo = rest.pop("score_seconds"), rest.pop("scored_elbo", None)
        baseline = rest.pop("baseline", None)
        accuracy = {name.removeprefix("test_"): rest.pop(name) for name in summary if name.startswith("test_accuracy")}
        return cls(
            elbo, rate, distortion, accuracy or None, scored_elbo, rest, seconds, baseline and Baseline(**baseline)
        )


@dataclass(frozen=True, eq=False, repr=False)
class Outcome(Summary, Shown):
    """What a fit has led to; as a mapping it has the names and values of `results` in run.json.

    Attributes:
        stopped: `done`, `patience`, `interrupted` or `diverged`.
        best_epoch: whose weights are kept.
        epochs: how many were trained.
        steps: of the pair.
        inner_steps: of the guide alone (`pyrovae.svi.aggressive`).
        skipped_steps: left out because loss or gradients were not finite.
        parameters: how many numbers are trained.
        train_seconds: training, and scoring the held-out data.
        engine: the tier in which the steps ran.
        cuda_graph: whether they were one CUDA graph each.
        lowering_seconds: before the first step: tracing, verifying, compiling.
        why: what was not finite, where training diverged.
        warnings: sentences about what went wrong without stopping the fit.
        test: scores of the test split; None where the fit was interrupted.
    """

    stopped: str
    best_epoch: int
    epochs: int
    steps: int
    inner_steps: int
    skipped_steps: int
    parameters: int
    train_seconds: float
    engine: Tier
    cuda_graph: bool
    lowering_seconds: float
    why: str | None = None
    warnings: tuple[str, ...] = ()
    test: FinalScores | None = None

    def lines(self) -> Lines:
        """How it ended, and the scores of the test split."""
        return lines_of(self)

    def summary(self) -> Json:
        """By the names that run.json has."""
        return {
            "stopped": self.stopped,
            "why": self.why,
            "warnings": list(self.warnings),
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "steps": self.steps,
            "inner_steps": self.inner_steps,
            "skipped_steps": self.skipped_steps,
            "parameters": self.parameters,
            "train_seconds": self.train_seconds,
            "engine": self.engine,
            "cuda_graph": self.cuda_graph,
            "lowering_seconds": self.lowering_seconds,
            **({} if self.test is None else self.test.summary()),
        }

    @classmethod
    def of(cls, results: JsonMapping) -> Outcome:
        """The inverse of `summary`, also of a run that was saved before there were inner steps and warnings.

        Raises:
            PyrovaeError: where the results do not say how the fit ended, as those of a fit that is not over.
        """
        own = {field.name for field in fields(cls)} - {"test"}
        given: dict[str, Any] = {"inner_steps": 0, "skipped_steps": 0, "cuda_graph": False, **results}
        try:
            training = {name: given.pop(name) for name in own if name in given}
            training["warnings"] = tuple(training.get("warnings", ()))
            rest = {name: value for name, value in given.items() if name not in own}
            return cls(**training, test=FinalScores.of(rest) if rest else None)
        except (KeyError, TypeError) as error:
            raise PyrovaeError(f"the results of this run do not say how its fit ended ({error})") from error


def lines_of(results: JsonMapping) -> Lines:
    """Of results as run.json has them: how far the fit came, and the scores that there are."""
    if "stopped" not in results:
        return [("", "not scored yet")]
    lines = [("", f"{results['stopped']}, best epoch {results['best_epoch']} of {results['epochs']}")]
    if "test_elbo" in results:
        parts = f"rate {results['test_rate']:.2f}, distortion {results['test_distortion']:.2f}"
        lines += [("test ELBO", f"{results['test_elbo']:.3f} nats ({parts})")]
    if (mean := results.get("log_likelihood")) is not None:
        drawn = f"{results['samples']} samples a datum, {results['num_data']} data"
        lines += [("log-likelihood", f"{nats(mean, results.get('standard_error'))} ({drawn})")]
        lines += [("", verdict)] if (verdict := results.get("verdict")) else []
    return lines
