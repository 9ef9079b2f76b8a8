"""A run and the test data by which it is compared; what is computed of both is computed once."""

from __future__ import annotations

import dataclasses
import functools

from torch import Tensor

from pyrovae import evaluation
from pyrovae.errors import PyrovaeError
from pyrovae.estimators import GAPS
from pyrovae.evaluation import AIS, Diagnostics, Gap, LogLikelihood, PerDatum
from pyrovae.evaluation.chunks import evenly
from pyrovae.runs.run import Run
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json


@dataclasses.dataclass(frozen=True)
class Gaps:
    """How the inference gap is taken apart (`pyrovae.evaluation.gap`).

    Attributes:
        data: of how many of the test data that are compared, evenly spaced.
        samples: K of importance sampling.
        ais_steps: temperatures of annealed importance sampling; 0 leaves it out.
        chains: of annealed importance sampling.
    """

    data: int
    samples: int = GAPS.samples
    ais_steps: int = GAPS.ais_steps
    chains: int = GAPS.chains


class Scored:
    """What the columns of a comparison are computed from.

    Attributes:
        run: just fitted.
        rows: the test data that are compared, (N,): those whose log-likelihood `fit` has estimated, `score_limit` of
            them, evenly spaced; the same for every guide and seed.
        gaps: how the gap is taken apart; None leaves that out.
        annealed: what annealed importance sampling found under the same model, where that is known.
        show: where progress goes.
    """

    def __init__(
        self, run: Run, gaps: Gaps | None = None, annealed: AIS | None = None, show: Progress | None = None
    ) -> None:
        self.run = run
        self.gaps = gaps
        self.annealed = annealed
        self.show = show
        self.rows = evenly(run.data.size("test"), run.recipe.training.score_limit)

    @functools.cached_property
    def batch(self) -> tuple[Tensor, ...]:
        """These data, as `pair.model(*batch)` takes them."""
        return tuple(tensor[self.rows] for tensor in self.run.split("test"))

    @functools.cached_property
    def lengths(self) -> Tensor | None:
        """Tokens of each, where they are sentences."""
        lengths = self.run.lengths("test")
        return None if lengths is None else lengths[self.rows]

    @functools.cached_property
    def elbo(self) -> PerDatum | None:
        """ELBO, rate and distortion of each datum, by `evaluation.per_datum.DRAWS` draws; None with a global latent."""
        try:
            return evaluation.elbo_per_datum(self.run.pair, self.batch, lengths=self.lengths, show=self.show)
        except PyrovaeError:
            return None

    @property
    def likelihood(self) -> LogLikelihood | None:
        """What `fit` has estimated, by `score_samples` importance samples; None with a global latent."""
        return self.run.scored

    @property
    def trust(self) -> Json:
        """How far the figures may be trusted: `trusted` and `verdict` of the log-likelihood, and what is `broken`, and
        so speaks against all of them."""
        found = [each for each in (self.likelihood, self.elbo, self.gap) if each is not None]
        broken = list(dict.fromkeys(sentence for each in found for sentence in each.broken))
        if self.likelihood is None or broken:
            return evaluation.trust(broken)
        verdict = self.likelihood.verdict()
        return evaluation.trust(()) | {"trusted": verdict.trusted, "verdict": verdict.sentence}

    @functools.cached_property
    def diagnostics(self) -> Diagnostics | None:
        """Rates and active units; None with a global latent."""
        try:
            return evaluation.diagnose(self.run.pair, self.batch, show=self.show)
        except PyrovaeError:
            return None

    @property
    def gap_rows(self) -> Tensor | None:
        """Which of the test data the gap is taken apart of."""
        return None if self.gaps is None else self.rows[evenly(len(self.rows), self.gaps.data)]

    @functools.cached_property
    def gap(self) -> Gap | None:
        """The gap of these data; None where it was not asked for, or a pair has none."""
        if self.gaps is None or self.gap_rows is None:
            return None
        chosen, lengths = self.gap_rows, self.run.lengths("test")
        batch = tuple(tensor[chosen] for tensor in self.run.split("test"))
        try:
            return evaluation.gap(
                self.run.pair,
                batch,
                self.gaps.samples,
                self.gaps.ais_steps,
                self.gaps.chains,
                show=self.show,
                lengths=None if lengths is None else lengths[chosen],
                annealed=self.annealed,
            )
        except PyrovaeError as error:
            if self.show is not None:
                self.show.line(f"note: no gap: {error}")
            return None
