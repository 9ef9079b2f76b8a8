"""`load`: from a run directory to a run; nothing in the directory is executed."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pyrovae import registry
from pyrovae.data import Field
from pyrovae.data.raw import DataSpec
from pyrovae.data.synonyms import inputs_of
from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError, UsageError, in_shell
from pyrovae.pairs.pair import Pair
from pyrovae.runs import directory, inspection, outline, tensors, texts
from pyrovae.runs.checkpoint import Checkpoint
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.run import Run
from pyrovae.runtime import devices
from pyrovae.runtime.seeding import seeded
from pyrovae.storage.jsonable import Json, JsonMapping


@dataclasses.dataclass(frozen=True)
class Opened:
    """A run directory that was read, and of which nothing was built.

    Attributes:
        path: the directory.
        content: run.json.
        recipe: what was fitted to what, and how.
        variant: by which its pair is built; None for a pair that was handed over in Python.
        fields: what a batch holds.
    """

    path: Path
    content: dict[str, Any]
    recipe: Recipe
    variant: registry.Variant | None
    fields: dict[str, Field]

    @property
    def description(self) -> Json:
        """Of the data."""
        description: dict[str, Any] = self.content["data"]
        return description

    def build(self, weights: tensors.State, what: str) -> Pair:
        """The pair, with weights that are still to be replaced; the caller's generator stays as it is.

        Args:
            weights: that it is to get; where it would need others nothing is made that takes memory or time.
            what: names them in errors.

        Raises:
            UsageError: where the pair was handed over in Python.
            PyrovaeError: where it cannot be built, or needs other weights.
        """
        if self.variant is None:
            raise UsageError(
                f"{self.path} holds a pair that was handed over in Python: give one again, pyrovae.load(run, pair=...)"
            )
        self.require_outline(weights, what)
        with self._told(), seeded(0), outline.bounded(weights, what):
            return self.recipe.build(self.variant, self.fields)

    def require_outline(self, weights: tensors.State, what: str) -> None:
        """Raises PyrovaeError where the pair would need others than these weights. It is not built for that, and so
        nothing is said of one with code that is not pyrovae's, which may need numbers."""
        if build := self._ours():
            with self._told():
                outline.require_outline(build, weights, what)

    def require_affordable(self) -> None:
        """Raises PyrovaeError where there are no weights and the pair would fill the memory, or find no end; as above
        nothing is said of one with code that is not pyrovae's."""
        if build := self._ours():
            with self._told():
                outline.require_affordable(build, f"the pair of {self.path / directory.RUN}")

    def _ours(self) -> Callable[[], Pair] | None:
        """What builds the pair, where all code of it is pyrovae's."""
        recipe, variant = self.recipe, self.variant
        if variant is None or recipe.model is None or recipe.options is None:
            return None
        if registry.is_foreign(recipe.model, recipe.guide, recipe.options):
            return None
        return lambda: recipe.build(variant, self.fields)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except PyrovaeError:
            raise
        except Exception as error:
            raise PyrovaeError(
                f"{self.path}: {self.variant and self.variant.name} cannot be built as run.json says "
                f"({type(error).__name__}: {error}): the file is damaged, or the model has changed"
            ) from error


def load(
    path: str | Path,
    pair: Pair | Callable[..., Pair] | None = None,
    data: DataSpec | None = None,
    device: str = "auto",
    trust: bool = False,
) -> Run:
    """Loads a run directory.

    Args:
        path: the run directory.
        pair: for a run of a Pair that was handed over in Python: a pair of the same shape, which gets the weights, or
            the class or function that was handed over.
        data: for a run on tensors from Python: the same tensors.
        device: where the pair goes.
        trust: run the user's own Python files where the run names some (`my_model.py:MyVAE`, `my_guide.py:MyFamily`).

    Raises:
        UsageError: where `path` is no run directory, or needs `pair` or `trust`.
        PyrovaeError: where a file of the run is damaged or does not fit.
    """
    where, path = devices.find(device), Path(path)

    def files(content: Json) -> tuple[Opened, tensors.State, list[dict[str, float | None]], Vocabulary | None]:
        stored = _opened(path, content, pair, trust)
        vocabulary = _vocabulary(path, content, stored.fields)
        return stored, weights_of(path, content), metrics_of(path, content), vocabulary

    stored, weights, metrics, vocabulary = _of_run(path, files)
    what = f"the weights in {path}"
    pair = pair if isinstance(pair, Pair) else stored.build(weights, what)
    pair.inputs = inputs_of(pair.inputs, stored.fields)
    tensors.set_weights(pair, weights, what)
    pair.to(where).eval()
    run = Run(
        pair,
        stored.recipe,
        stored.fields,
        stored.description,
        metrics,
        stored.content["results"],
        vocabulary=vocabulary,
        path=stored.path,
        status=stored.content["status"],
    )
    if data is not None:
        run.give(data)
    return run


def opened(path: str | Path, pair: Pair | Callable[..., Pair] | None = None, trust: bool = False) -> Opened:
    """Reads the run.json of a directory; see `load`."""
    path = Path(path)
    return _of_run(path, lambda content: _opened(path, content, pair, trust))


T = TypeVar("T")


def _of_run(path: Path, use: Callable[[Json], T]) -> T:
    """What `use` makes of a state of a run directory; raises UsageError where `path` is none."""
    try:
        return directory.steady(path, use)
    except FileNotFoundError:
        raise directory.no_run(path) from None


def _opened(path: Path, content: Json, pair: Pair | Callable[..., Pair] | None, trust: bool) -> Opened:
    file, values = path / directory.RUN, content["recipe"]
    name = values["model"]
    if pair is None and inspection.require_trusted(path, content, trust):
        _tell_changed(path, content)
    fields = {key: Field.from_json(value) for key, value in content["fields"].items()}
    if pair is not None and not isinstance(pair, Pair):
        variant: registry.Variant | None = registry.handed_over(pair)
    else:
        variant = None if name is None or (pair is not None and ":" in name) else registry.variant(name)
    try:
        recipe = Recipe.from_json(values if variant or name is None else values | {"model": None}, variant)
    except UsageError as error:
        raise PyrovaeError(f"{file} is damaged, or of another version of the model: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PyrovaeError(f"{file} is damaged ({type(error).__name__}: {error})") from None
    # Whoever loads a run has not asked for a download.
    recipe = dataclasses.replace(recipe, data_options=recipe.data_options.model_copy(update={"download": False}))
    return Opened(path, content, recipe, variant, fields)


def _tell_changed(path: Path, content: JsonMapping) -> None:
    """Warns of the user's own code that is not as it was when the run was made; the command line has shown it."""
    for each in inspection.code_now(content["recipe"], content.get("code") or {}):
        if not in_shell() and each["was"] not in (None, each.get("sha256")):
            what = f"{each['path'] or each['name']} is not as it was when the run in {path} was made"
            warnings.warn(f"{what}: what it computes may be other numbers than those of the run", stacklevel=2)


def metrics_of(path: Path, content: JsonMapping) -> list[dict[str, float | None]]:
    """One object an epoch; none before the first checkpoint."""
    if "metrics" not in content["files"]:
        return []
    data = directory.read(path, content, "metrics", texts.METRICS)
    return tensors.metrics_of(data, directory.path_of(path, content, "metrics"))


def weights_of(path: Path, content: JsonMapping) -> tensors.State:
    """The weights of the best held-out ELBO: those that were saved, or those of the checkpoint of a fit that was
    stopped."""
    if "weights" in content["files"]:
        data = directory.read(path, content, "weights")
        return tensors.tensors_of(data, directory.path_of(path, content, "weights"))
    if "checkpoint" not in content["files"]:
        raise PyrovaeError(f"the fit of {path} was stopped before its first checkpoint: pyrovae fit --resume {path}")
    return Checkpoint.read(path, content).best_weights()


def _vocabulary(path: Path, content: JsonMapping, fields: Mapping[str, Field]) -> Vocabulary | None:
    """The words of a run on text; raises PyrovaeError where the file is missing, damaged or of other text."""
    sizes = [field.size for field in fields.values() if field.kind == "tokens"]
    if not sizes:
        return None
    name = directory.path_of(path, content, "vocabulary")
    found = tensors.vocabulary_of(directory.read(path, content, "vocabulary", texts.VOCABULARY), name)
    if len(found) != sizes[0]:
        raise PyrovaeError(f"{name} holds {len(found)} words, and the run has {sizes[0]}: the file is of another run")
    return found
