"""A run and the test data by which it is compared; what is computed of both is computed once."""

from __future__ import annotations

import functools

from torch import Tensor

from pyrovae import evaluation
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation import Diagnostics, LogLikelihood, PerDatum
from pyrovae.evaluation.chunks import evenly
from pyrovae.run import Run


class Scored:
    """What the columns of a comparison are computed from.

    Attributes:
        run: just fitted.
        rows: the test data that are compared, (N,): those whose log-likelihood `fit` has estimated, `score_limit` of
            them, evenly spaced; the same for every guide and seed.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
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
            return evaluation.elbo_per_datum(self.run.pair, self.batch, lengths=self.lengths)
        except PyrovaeError:
            return None

    @property
    def likelihood(self) -> LogLikelihood | None:
        """What `fit` has estimated, by `score_samples` importance samples; None with a global latent."""
        return self.run.scored

    @functools.cached_property
    def diagnostics(self) -> Diagnostics | None:
        """Rates and active units; None with a global latent."""
        try:
            return evaluation.diagnose(self.run.pair, self.batch)
        except PyrovaeError:
            return None
