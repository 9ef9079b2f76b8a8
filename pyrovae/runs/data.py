"""The data of a run, found and read again, and compared with what the run has of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from pyrovae import registry
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import in_memory, sources
from pyrovae.data.catalogue import load as load_data
from pyrovae.data.dataset import SPLITS, Dataset, Part, Split
from pyrovae.data.new import Before, NewData, read_new
from pyrovae.data.raw import DataSpec
from pyrovae.data.stored import Column
from pyrovae.errors import PyrovaeError, option
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.subject import Subject
from pyrovae.storage.jsonable import JsonMapping


def data_of(recipe: Recipe, description: JsonMapping, given: DataSpec | None = None) -> Dataset:
    """The data of a run, as its pair reads them.

    Args:
        recipe: of the run.
        description: of the data, as the run has it.
        given: tensors or a Dataset in the place of what the recipe names.

    Raises:
        PyrovaeError: where the data are gone, or are other data than those of the run.
    """
    options = data_options(recipe, description)
    if isinstance(given, Dataset):
        return checked(recipe, description, given)  # made already, and its fingerprint says whether it is the right one
    if given is None and recipe.data is None:
        raise PyrovaeError("this run was trained on tensors from Python: give them again, pyrovae.load(run, data=...)")
    if given is None:
        assert recipe.data is not None
        given = found_at(recipe.data, options.data_root)
    return checked(recipe, description, load_data(given, options))


def new_data(run: Subject, spec: DataSpec, part: Part, conditions: bool) -> NewData:
    """Data that were not in a run, as its pair reads them; see `pyrovae.data.new.read_new`."""
    options, inputs = data_options(run.recipe, run.description), run.pair.inputs
    before = Before(run.fields, inputs, options, run.description, run.vocabulary)
    with in_memory(spec):
        found = read_new(spec, before, part, conditions)
    if before.hides:  # `prepare` would choose among labels that are not there
        return found
    # What makes the data of a pair of other data asks for all splits.
    shared = {field.name: getattr(found, field.name) for field in dataclasses.fields(Dataset)}
    whole = prepared(run.recipe, Dataset(**shared | {"columns": dict.fromkeys(SPLITS, found.columns["test"])}))
    columns: dict[Split, Mapping[str, Column]] = {"test": whole.columns["test"]}
    return dataclasses.replace(found, columns=columns, transforms=whole.transforms)


def data_options(recipe: Recipe, description: JsonMapping) -> DataConfig:
    """The options of the data of a run.

    Whether a folder of images is streamed decides what its fingerprint is of, so that is settled as it was. In runs
    that do not say what they took for pixels, whole numbers of uint8 are, in every field, and arrays are images; in
    those that do not say what was standardised, nothing is.
    """
    pixels, layout = description.get("pixels", True), "given" if description.get("layout") == "given" else "image"
    standardize = recipe.data_options.standardize if description.get("standardized") else False
    settled = {"pixels": None if pixels is None else bool(pixels), "layout": layout, "standardize": standardize}
    options = recipe.data_options.model_copy(update=settled)
    if options.stream is not None or str(recipe.data).endswith(".npy"):
        return options
    return options.model_copy(update={"stream": bool(description.get("streamed"))})


def options_for(recipe: Recipe, variant: registry.Variant | None) -> DataConfig:
    """The options of the data of a new fit: a pair of one's own gets arrays with the axes that they have, and its parts
    take vectors as they are."""
    options, own = recipe.data_options, variant is None or variant.own
    settled: dict[str, object] = {}
    if own and options.standardize is None:
        settled["standardize"] = False
    if own and options.layout is None and options.image_size is None:
        settled["layout"] = "given"
    return options.model_copy(update=settled) if settled else options


def checked(recipe: Recipe, description: JsonMapping, data: Dataset) -> Dataset:
    """The data as the pair reads them; raises PyrovaeError where they are not those that `description` is of."""
    data = prepared(recipe, data)
    ours, theirs = description.get("fingerprint"), data.description.get("fingerprint")
    if ours != theirs:
        raise PyrovaeError(
            f"data '{data.name}' are not those of this run (fingerprint {str(theirs)[:12]}, the run has "
            f"{str(ours)[:12]}): give the same files and the same data options"
        )
    return data


def found_at(data: str, root: Path | None) -> str:
    """The name of the data, or their path: as it was when they were fitted, else the same name below `root`."""
    if data in sources() or Path(data).exists():
        return data
    if root is None or not (root / Path(data).name).exists():
        raise PyrovaeError(
            f"the data of this run are not at {data}: give the folder that holds {Path(data).name} now, "
            f"{option('data_root', 'DIR')}"
        )
    return str(root / Path(data).name)


def prepared(recipe: Recipe, data: Dataset) -> Dataset:
    """The data as the recipe's variant reads them."""
    if recipe.model is None:
        return data
    return registry.variant(recipe.model).prepare(recipe.options, data)
