"""All that a fit is going to do, decided before it does anything."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import torch

from pyrovae import data as data_package
from pyrovae import registry
from pyrovae.config import Settings
from pyrovae.data.dataset import Dataset
from pyrovae.data.raw import DataSpec
from pyrovae.data.synonyms import inputs_of
from pyrovae.errors import UsageError
from pyrovae.pairs.pair import ModelSpec, Pair
from pyrovae.pairs.parameters import placed
from pyrovae.runs.checkpoint import Checkpoint
from pyrovae.runs.data import options_for
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.run import Run
from pyrovae.training import freezing


@dataclasses.dataclass(frozen=True)
class Plan:
    """What `fit` is to do.

    Attributes:
        recipe: what is fitted to what, and how.
        variant: by which the pair is built; None for a pair that was handed over. That of a class or function, too.
        dataset: the data as the pair reads them.
        folder: the run directory; None writes nothing.
        pair: that was handed over.
        source: the run whose model is frozen.
        start: the checkpoint from which training goes on.
        notes: what a person should know before.
    """

    recipe: Recipe
    variant: registry.Variant | None
    dataset: Dataset
    folder: Path | None
    pair: Pair | None = None
    source: Run | None = None
    start: Checkpoint | None = None
    notes: tuple[str, ...] = ()


def recipe_for(
    model: ModelSpec | None, data: DataSpec | None, guide: str | None, source: Run | None, settings: Settings
) -> tuple[Recipe, registry.Variant | None]:
    if source is not None:
        recipe = freezing.recipe_of(source, model, guide, data, settings)
        return recipe, registry.variant(recipe.model)  # type: ignore[arg-type]
    if model is None:
        raise UsageError("fit needs a model: a name, your own my_model.py:MyVAE, a Pair, or freeze_model=RUN")
    variant = variant_of(model)
    if data is None and (variant is None or not variant.by_name):
        raise UsageError("a pair of your own needs data: pyrovae.fit(pair, data=x)")
    if variant is not None and not variant.by_name:
        _require_options(model, variant, settings)
    spec = variant.data if data is None and variant is not None else data
    return Recipe.of(variant, guide, str(spec) if isinstance(spec, str | Path) else None, settings), variant


def variant_of(model: ModelSpec) -> registry.Variant | None:
    """That of a name, or of a class or function that was handed over; None for a Pair."""
    if isinstance(model, Pair):
        return None
    return registry.variant(model) if isinstance(model, str) else registry.handed_over(model)


def _require_options(model: ModelSpec | None, variant: registry.Variant, settings: Settings) -> None:
    """Raises UsageError for a setting that is meant for a parameter which cannot be set from here."""
    assert callable(model)
    for name in inspect.signature(model).parameters:
        if name in settings and name not in variant.config.model_fields:
            raise UsageError(
                f"{name} is a parameter of {variant.name} that cannot be set from here, as it is also an option of "
                f"training or data, is given, or has a value that JSON has not: rename it, or set it in a function of "
                f"your own around {variant.name}"
            )


def dataset_for(data: DataSpec | None, recipe: Recipe, variant: registry.Variant | None, source: Run | None) -> Dataset:
    """The data as the pair reads them."""
    if source is not None:
        return freezing.data_of(source, data, recipe.data_options)
    options = recipe.data_options if isinstance(data, Dataset) else options_for(recipe, variant)
    dataset = data_package.load(recipe.data if data is None else data, options)  # type: ignore[arg-type]
    return dataset if variant is None else variant.prepare(recipe.options, dataset)


def pair_for(plan: Plan, device: torch.device) -> tuple[Pair, Recipe]:
    """The pair on its device, its model frozen where that is asked for; and the recipe that says so."""
    recipe, dataset = plan.recipe, plan.dataset
    if plan.pair is not None:
        pair = plan.pair
        pair.inputs = inputs_of(pair.inputs, dataset.fields)
    else:
        assert plan.variant is not None
        pair = recipe.build(plan.variant, dataset.named_fields())
    if frozen := [name for name, parameter in pair.named_parameters() if parameter.is_inference()]:
        raise UsageError(
            f"{frozen[0]} was made under torch.inference_mode(), and cannot be trained: make the pair outside of it"
        )
    dataset.require(pair.inputs)
    pair.to(device)
    if plan.source is not None:
        few = placed(pair, dataset.split("valid", pair.inputs, 2))
        recipe = dataclasses.replace(recipe, frozen=freezing.freeze(pair, plan.source, few))
    return pair, recipe
