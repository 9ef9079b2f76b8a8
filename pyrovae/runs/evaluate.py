"""All scores of a run on a split, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pyrovae import evaluation
from pyrovae.data.dataset import Part
from pyrovae.evaluation import Accuracy, Diagnostics, LogLikelihood, Usage
from pyrovae.runs import paired
from pyrovae.runs.outcome import Summary
from pyrovae.runs.subject import Subject
from pyrovae.runtime.notebook import Lines, Shown
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json


@dataclass(frozen=True, eq=False, repr=False)
class Scores(Summary, Shown):
    """Scores of a split, nats a datum; as a mapping it has the names and values of `summary`.

    Attributes:
        elbo: ELBO, rate and distortion.
        sites: rates and active units of each latent site and dimension.
        latents: what the latents carry: mutual information, marginal KL, swap, moments.
        diagnosis: what that means, in sentences.
        accuracy: of a guide that classifies; None where it does not.
        likelihood: importance-sampled log p(x) of each datum.
        rows: (N,) the rows of the split that were scored.
        baseline: the paired difference to another run; None where none was given.
        words: tokens of the sentences that were scored; None where the data are no text.
    """

    elbo: dict[str, float]
    sites: Diagnostics
    latents: Usage
    diagnosis: list[str]
    accuracy: Accuracy | None
    likelihood: LogLikelihood
    rows: Tensor
    baseline: dict[str, Any] | None = None
    words: int | None = None

    def lines(self) -> Lines:
        """ELBO and log-likelihood, how far to trust it, whether z is used, and the difference to the baseline."""
        (_, likelihood), (_, verdict) = self.likelihood.lines()
        active, units = (sum(self.sites.summary()[name].values()) for name in ("active_units", "units"))
        parts = f"rate {self.elbo['rate']:.3f}, distortion {self.elbo['distortion']:.3f}"
        lines = [
            ("ELBO", f"{self.elbo['elbo']:.3f} nats ({parts}, {active} of {units} units active)"),
            ("log-likelihood", likelihood),
            ("", verdict),
            ("", " ".join(self.diagnosis)),
        ]
        return lines if self.baseline is None else [*lines, ("baseline", self.baseline["verdict"])]

    def summary(self) -> Json:
        """Everything as numbers, lists and sentences, by name."""
        sites = self.sites.summary()
        out: dict[str, Any] = {
            **self.elbo,
            "sites": sites,
            "active_units": sum(sites["active_units"].values()),
            "latents": self.latents.summary(),
            "diagnosis": self.diagnosis,
        }
        if self.accuracy is not None:
            out |= self.accuracy.summary()
        out |= self.likelihood.summary()
        out["worst"] = self.rows[out["worst"]].tolist()  # rows of the split, not of what was scored of it
        if self.baseline is not None:
            out["baseline"] = self.baseline
        if self.words is not None:
            out["words"] = self.words
            out["perplexity"] = float(np.exp(-out["log_likelihood"] * out["num_data"] / self.words))
        return out


def evaluate(
    run: Subject,
    samples: int = 200,
    split: Part = "test",
    limit: int | None = None,
    seed: int = 0,
    show: Progress | None = None,
    baseline: Subject | None = None,
    evenly: bool = False,
) -> Scores:
    """All scores of a split, or of `limit` data of it, the first or `evenly` spaced.

    With a `baseline`, a run on the same data, the paired difference of the two log-likelihoods is among them; see
    `pyrovae.runs.paired.difference`.

    Raises:
        PyrovaeError: where the baseline scores other data.
    """
    if baseline is not None:
        paired.require_comparable(run, baseline, split, None if evenly else limit)
    batch, lengths, rows = run.some(split, limit, evenly)
    elbo = evaluation.elbo(run.pair, batch, seed=seed, show=show)
    sites = evaluation.diagnose(run.pair, batch, seed=seed, show=show)
    latents = evaluation.usage(run.pair, batch, sum(sites.rate.values()), seed, show)
    figures = evaluation.Findings.of(sites, latents, len(batch[0]))
    labels = run.labels(split)
    of_these = None if labels is None else labels[rows]
    accuracy = evaluation.accuracy(run.pair, batch, of_these, run.fields, seed, show)
    score = evaluation.log_likelihood_over_ranks
    likelihood = score(run.pair, batch, samples, lengths=lengths, seed=seed, show=show)
    difference = None
    if baseline is not None:
        theirs, lengths, _ = baseline.some(split, limit, evenly)
        other = score(baseline.pair, theirs, samples, lengths=lengths, seed=seed, show=show)
        difference = paired.difference(
            *(run, baseline, likelihood.log_likelihood, other.log_likelihood, figures.used),
            broken=(likelihood.broken, other.broken),
        )
    return Scores(
        elbo=elbo,
        sites=sites,
        latents=latents,
        diagnosis=evaluation.diagnosis(figures, run.options()),
        accuracy=accuracy,
        likelihood=likelihood,
        rows=rows,
        baseline=difference,
        words=words(run, batch),
    )


def words(run: Subject, batch: tuple[Tensor, ...]) -> int | None:
    """Of the sentences of a batch, <eos> counted, padding not; None where the data are no text."""
    if run.vocabulary is None:
        return None
    return int(batch[run.pair.inputs.index("x")].ne(run.vocabulary.pad).sum())
