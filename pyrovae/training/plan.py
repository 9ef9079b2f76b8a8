"""All that a fit is going to do, decided before it does anything."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

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
        variant: by which the pair is built; None for a pair that was handed over.
        dataset: the data as the pair reads them.
        folder: the run directory; None writes nothing.
        pair: that was handed over, or a function that gives it.
        source: the run whose model is frozen.
        start: the checkpoint from which training goes on.
        notes: what a person should know before.
    """

    recipe: Recipe
    variant: registry.Variant | None
    dataset: Dataset
    folder: Path | None
    pair: Pair | Callable[[], Pair] | None = None
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
    variant = registry.variant(model) if isinstance(model, str) else None
    if data is None and variant is None:
        raise UsageError("a pair of your own needs data: pyrovae.fit(pair, data=x)")
    spec = variant.data if data is None and variant is not None else data
    return Recipe.of(variant, guide, str(spec) if isinstance(spec, str | Path) else None, settings), variant


def made(pair: Pair | Callable[[], Pair]) -> Pair:
    """A pair that was handed over, or what a function gives; raises UsageError where that is none."""
    if isinstance(pair, Pair):
        return pair
    name = getattr(pair, "__name__", type(pair).__name__)
    if not callable(pair) or isinstance(pair, nn.Module):
        raise UsageError(
            f"the model is of type {name}: give a name, my_model.py:MyVAE, a Pair, or a function that gives one"
        )
    try:
        inspect.signature(pair).bind()
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name}: {error}: give a function that needs no argument, or name it my_model.py:{name} to set its options"
        ) from None
    if not isinstance(given := pair(), Pair):
        raise UsageError(f"{name} gives a {type(given).__name__}, and must give a pyrovae.Pair(model, guide, inputs)")
    return given


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
        pair = made(plan.pair)
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
