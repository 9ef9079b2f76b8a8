"""A run: a trained pair with its data, recipe and scores; saved to a directory and loaded from it without pickle."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from pyrovae import evaluation
from pyrovae.config import Options
from pyrovae.data import DataConfig, Field
from pyrovae.data.dataset import Dataset, Part
from pyrovae.data.new import index
from pyrovae.data.raw import DataSpec, Tensors
from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import UsageError, require_whole
from pyrovae.estimators import GAPS
from pyrovae.evaluation import Gap, LogLikelihood
from pyrovae.evaluation.chunks import evenly as spaced
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import placed
from pyrovae.runs import data as rundata
from pyrovae.runs import generating, likelihood, tensors
from pyrovae.runs.evaluate import Scores, evaluate
from pyrovae.runs.outcome import Outcome, lines_of
from pyrovae.runs.recipe import Recipe, Status
from pyrovae.runs.saving import save
from pyrovae.runtime.notebook import Lines, Shown
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json, JsonMapping


class Run(Shown):
    """A trained pair and what belongs to it.

    Attributes:
        pair: model and guide, with the weights of the best held-out ELBO.
        recipe: what was fitted to what, and how.
        fields: what a batch holds.
        description: of the data: source, counts, binarization, fingerprint.
        metrics: one object an epoch.
        results: how the fit ended, and its scores of the test split, once, nats: an `Outcome`, or what run.json holds.
        last: weights at the end of training; None for a run that was loaded.
        status: `training` where the fit was stopped before its last step, `trained` where it has no scores, `done`.
        path: the run directory; None for a run that was never saved.
        scored: the log-likelihood of each datum that `fit` has scored, `score_limit` test data; None once it was saved
            and loaded.
    """

    def __init__(
        self,
        pair: Pair,
        recipe: Recipe,
        fields: Mapping[str, Field],
        description: JsonMapping,
        metrics: list[Json],
        results: JsonMapping,
        data: Dataset | None = None,
        vocabulary: Vocabulary | None = None,
        path: Path | None = None,
        status: Status = "done",
        last: tensors.State | None = None,
    ) -> None:
        self.pair = pair
        self.recipe = recipe
        self.fields = dict(fields)
        self.description = dict(description)
        self.metrics = metrics
        self.results = results
        self.vocabulary = vocabulary
        self.path = path
        self.status = status
        self.last = last
        self.scored: LogLikelihood | None = None
        self._data = data

    def lines(self) -> Lines:
        """What was fitted to what, where it lies, how the fit ended, and its scores."""
        guide = "" if self.recipe.guide is None else f" with guide {self.recipe.guide}"
        where = "not saved" if self.path is None else str(self.path)
        what = f"{self.recipe.model or 'own pair'}{guide} on {self.description.get('source')}, {where}"
        return [("", what), *lines_of(self.results)]

    @property
    def outcome(self) -> Outcome:
        """The results as attributes; raises PyrovaeError where the fit is not over."""
        return self.results if isinstance(self.results, Outcome) else Outcome.of(self.results)

    @property
    def data(self) -> Dataset:
        """The data set, loaded when it is first asked for.

        Raises:
            PyrovaeError: where the data are gone, or are other data than those the run was trained on.
        """
        if self._data is None:
            self._data = rundata.data_of(self.recipe, self.description)
        return self._data

    def data_options(self) -> DataConfig:
        """Those of the recipe, by which the same data are loaded again; see `pyrovae.runs.data`."""
        return rundata.data_options(self.recipe, self.description)

    def move_data(self, data_root: str | Path) -> None:
        """Says where the data are now, before they are first asked for."""
        options = self.recipe.data_options.model_copy(update={"data_root": Path(data_root)})
        self.recipe = dataclasses.replace(self.recipe, data_options=options)

    def checked(self, data: Dataset) -> Dataset:
        """The data as the pair reads them; raises PyrovaeError where they are not those of the run."""
        return rundata.checked(self.recipe, self.description, data)

    def give(self, data: DataSpec) -> None:
        """Takes data that were handed over in Python; raises PyrovaeError where they are not those of the run."""
        self._data = rundata.data_of(self.recipe, self.description, data)

    def on(self, data: DataSpec | None, split: Part = "all", conditions: bool = False) -> Run:
        """The same pair with other data in the place of its own, read as those were: its words, classes, units, sizes
        and binarization. They are the test split of that run, whichever split of their own they come from.

        Args:
            data: what `pyrovae.data.load` takes, or `-` for standard input; None is this run as it is.
            split: where the data are in splits, which of them.
            conditions: whether what the pair generates may be missing.

        Raises:
            PyrovaeError: where the data do not fit those of the run, by field.
        """
        if data is None:
            return self
        found = rundata.new_data(self, data, split, conditions)
        run = copy.copy(self)
        run._data, run.scored, run.description = found, None, {**self.description, **found.description}
        return run

    def index(self, split: Part = "test", limit: int | None = None, evenly: bool = False) -> dict[str, np.ndarray]:
        """By what the data of a split, its first `limit` or so many evenly spaced ones, are known again in a table:
        `row`, and `name` where their source has names."""
        size = self.data.size(split)
        limit = size if limit is None else min(size, limit)
        return index(self.data, split, spaced(size, limit) if evenly else slice(limit))

    def split(self, split: Part = "test", limit: int | None = None) -> tuple[Tensor, ...]:
        """A split as the tuple of tensors that `pair.model(*batch)` takes; `limit` keeps the first so many."""
        return placed(self.pair, self.data.split(split, self.pair.inputs, limit))

    def lengths(self, split: Part = "test", limit: int | None = None) -> Tensor | None:
        """Tokens of each sentence of a split, (N,); None where the data are no text."""
        require_whole(limit=limit)
        lengths = self.data.lengths(split)
        return None if lengths is None else lengths[:limit]

    def some(
        self, split: Part = "test", limit: int | None = None, evenly: bool = True
    ) -> tuple[tuple[Tensor, ...], Tensor | None, Tensor]:
        """`limit` data of a split, evenly spaced or the first: batch, lengths of sentences, rows of the split."""
        require_whole(limit=limit)
        batch, lengths = self.split(split, None if evenly else limit), self.lengths(split)
        rows = spaced(len(batch[0]), limit or len(batch[0]))
        return (
            tuple(tensor[rows.to(tensor.device)] for tensor in batch),
            None if lengths is None else lengths[rows],
            rows,
        )

    log_likelihood = likelihood.log_likelihood
    ais = likelihood.ais
    bdmc = likelihood.bdmc

    def gap(
        self,
        split: Part = "test",
        limit: int = 100,
        samples: int = GAPS.samples,
        ais_steps: int = GAPS.ais_steps,
        chains: int = GAPS.chains,
        seed: int = 0,
        show: Progress | None = None,
        data: DataSpec | None = None,
    ) -> Gap:
        """The inference gap of at most `limit` data, evenly spaced, taken apart; see `pyrovae.evaluation.gap`."""
        batch, lengths, _ = self.on(data).some(split, limit)
        return evaluation.gap(self.pair, batch, samples, ais_steps, chains, seed, show, lengths)

    def evaluate(
        self,
        samples: int = 200,
        split: Part = "test",
        limit: int | None = None,
        seed: int = 0,
        show: Progress | None = None,
        baseline: Run | None = None,
        evenly: bool = False,
        data: DataSpec | None = None,
    ) -> Scores:
        """All scores of a split, or of `limit` data of it, or of `data`; see `pyrovae.runs.evaluate.evaluate`."""
        beside = None if baseline is None else baseline.on(data)
        return evaluate(self.on(data), samples, split, limit, seed, show, beside, evenly)

    def accuracy(
        self,
        split: Part = "test",
        limit: int | None = None,
        seed: int = 0,
        show: Progress | None = None,
        data: DataSpec | None = None,
    ) -> evaluation.Accuracy | None:
        """How well q(y | x) classifies a split without its labels; None where the guide does not classify."""
        run = self.on(data)
        batch, labels = run.split(split, limit), run.labels(split, limit)
        return evaluation.accuracy(self.pair, batch, labels, self.fields, seed, show)

    def options(self) -> Options | None:
        """The options of the model and of its training, by name; None for a pair that was handed over in Python."""
        if self.recipe.options is None:
            return None
        return {**self.recipe.training.model_dump(), **self.recipe.options.model_dump()}

    sample = generating.sample
    reconstruct = generating.reconstruct
    interpolate = generating.interpolate
    ends = generating.ends

    def encode(
        self,
        split: Part | Tensors = "test",
        limit: int | None = None,
        seed: int = 0,
        data: DataSpec | None = None,
    ) -> dict[str, np.ndarray]:
        """Posterior mean and scale of every latent site, `z_mean` and `z_scale` (N, *event), and the data's labels; and
        where rows interact in a pair of one's own, so that a datum has no posterior of its own, `broken`, how.

        Of a split, or of `data`, which may stand in its place: `run.encode(x)`.
        """
        if not isinstance(split, str):
            split, data = "test", split
        run = self.on(data)
        batch = run.split(split, limit)
        found = evaluation.posterior_moments(self.pair, batch, seed=seed)
        if not found:
            raise UsageError("this pair has no latent site, so there is nothing to encode")
        arrays = {f"{name}_mean": mean.numpy() for name, (mean, _, _) in found.items()}
        arrays |= {f"{name}_scale": scale.numpy() for name, (_, scale, _) in found.items()}
        if broken := evaluation.mixed(self.pair, batch, seed):
            arrays["broken"] = np.array(broken)
        labels = run.labels(split, limit)
        return arrays if labels is None else arrays | {"y": labels.numpy()}

    def labels(self, split: Part = "test", limit: int | None = None) -> Tensor | None:
        """The classes of a split, (N,), also those that are hidden from the pair; None where the data have none."""
        require_whole(limit=limit)
        found = self.data.labels(split)
        return None if found is None else found[:limit]

    def classes(self) -> int | None:
        """How many classes y has where it is a label that the pair reads; None where it is not."""
        y = self.fields.get("y")
        return y.size if y is not None and y.kind == "category" and "y" in self.pair.inputs else None

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Writes the run directory, all of it or nothing; in its own one it keeps the checkpoint and the pictures.

        Raises:
            UsageError: where there is another run already, without `overwrite`.
        """
        self.path = save(self, Path(path), overwrite)
