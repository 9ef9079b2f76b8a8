"""`load`: from a run directory to a run; nothing in the directory is executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyrovae import devices, registry, store
from pyrovae.data import Field
from pyrovae.data import load as load_data
from pyrovae.data.dataset import Dataset
from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.pair import Pair
from pyrovae.recipe import Recipe
from pyrovae.run import FORMAT, Run
from pyrovae.seeding import seeded


def load(
    path: str | Path, pair: Pair | None = None, data: Any = None, device: str = "auto", trust: bool = False
) -> Run:
    """Loads a run directory.

    Args:
        path: the run directory.
        pair: for a run of a Pair that was handed over in Python: a pair of the same shape, which gets the weights.
        data: for a run on tensors from Python: the same tensors.
        device: where the pair goes.
        trust: run the user's own Python file where the run names one (`my_model.py:MyVAE`).

    Raises:
        UsageError: where `path` is no run directory, or needs `pair` or `trust`.
        PyrovaeError: where a file of the run is damaged or does not fit.
    """
    path = Path(path)
    if not (path / store.RUN).is_file():
        unfinished = (path / store.METRICS).is_file()
        why = (
            "its fit did not finish"
            if unfinished
            else "there is no run.json in it"
            if path.is_dir()
            else "it is a file"
            if path.is_file()
            else "no such folder"
        )
        raise UsageError(f"{path} is not a run directory ({why}): give the folder that `pyrovae fit` printed")
    content = store.read_json(path / store.RUN)
    where = devices.find(device)
    try:
        if content["format"] != FORMAT:
            raise PyrovaeError(
                f"{path / store.RUN} has format {content['format']!r}, this pyrovae reads {FORMAT}: update pyrovae"
            )
        name = content["recipe"]["model"]
        fields = {key: Field.from_json(value) for key, value in content["fields"].items()}
        if name is not None and ":" in name and pair is None and not trust:
            raise UsageError(
                f"{path} was made with your own code, {name}: it is only run with --trust (Python: trust=True)"
            )
        variant = None if name is None or (pair is not None and ":" in name) else registry.variant(name)
        try:
            recipe = (
                Recipe.from_json(content["recipe"], variant)
                if variant or name is None
                else Recipe.from_json(content["recipe"] | {"model": None}, None)
            )
        except UsageError as error:
            raise PyrovaeError(f"{path / store.RUN} is damaged, or of another version of the model: {error}") from None
        description, results = dict(content["data"]), dict(content["results"])
    except (KeyError, TypeError, AttributeError) as error:
        raise PyrovaeError(f"{path / store.RUN} is damaged ({type(error).__name__}: {error})") from None
    if pair is None:
        if variant is None:
            raise UsageError(
                f"{path} holds a pair that was handed over in Python: give one again, pyrovae.load(run, pair=...)"
            )
        try:
            with seeded(0):  # weights that are replaced below; the caller's generator stays as it is
                pair = recipe.build(variant, fields)
        except PyrovaeError:
            raise
        except Exception as error:
            raise PyrovaeError(
                f"{path}: {recipe.model} cannot be built as run.json says ({type(error).__name__}: {error}): "
                f"the file is damaged, or the model has changed"
            ) from error
    store.set_weights(pair, store.read_tensors(path / store.WEIGHTS), str(path / store.WEIGHTS))
    pair.to(where).eval()
    run = Run(
        pair,
        recipe,
        fields,
        description,
        store.read_metrics(path / store.METRICS),
        results,
        vocabulary=_vocabulary(path / store.VOCABULARY, fields),
        path=path,
    )
    if data is not None:
        # A Dataset is made already, and its fingerprint says whether it is the right one.
        run._data = run.checked(data if isinstance(data, Dataset) else load_data(data, run.data_options()))
    return run


def _vocabulary(path: Path, fields: Mapping[str, Field]) -> Vocabulary | None:
    """The words of a run on text; raises PyrovaeError where the file is missing, damaged or of other text."""
    sizes = [field.size for field in fields.values() if field.kind == "tokens"]
    if not sizes:
        return None
    found = store.read_vocabulary(path)
    if len(found) != sizes[0]:
        raise PyrovaeError(f"{path} holds {len(found)} words, and the run has {sizes[0]}: the file is of another run")
    return found
