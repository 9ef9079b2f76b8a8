"""What a fit has decided before it trains: data, pair and training, a line each."""

from __future__ import annotations

import torch

from pyrovae.data.dataset import SPLITS, Dataset
from pyrovae.data.field import Field
from pyrovae.data.stored import Stored
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import placed
from pyrovae.pairs.supports import family_of
from pyrovae.pairs.traces import Site, draw, sites
from pyrovae.runs.recipe import Recipe
from pyrovae.runtime.ranks import world
from pyrovae.training.order import batch_size, epochs

KINDS = {"binary": "0 or 1", "unit": "between 0 and 1", "real": "real", "partial": "given parts of x and their mask"}


def of_data(dataset: Dataset) -> str:
    """Rows of each split, and the fields."""
    read = {split: any(isinstance(each, Stored) for each in dataset.columns[split].values()) for split in SPLITS}
    where = {split: " (read from the disk)" if read[split] else "" for split in SPLITS}
    rows = ", ".join(f"{dataset.size(split):,} {split}{where[split]}" for split in SPLITS)
    mode = dataset.description.get("binarize", "none")
    how = {"none": "", "dynamic": ", drawn anew at every access"}.get(mode, f", by {mode}")
    fields = "; ".join(_field(name, each) + (how if name == "x" else "") for name, each in dataset.fields.items())
    return f"data: {dataset.name}, {rows}; {fields}"


def _field(name: str, field: Field) -> str:
    if field.kind == "category":
        return f"{name} of {field.size} classes"
    if field.kind == "tokens":
        return f"{name} of at most {field.shape[0]} tokens, {field.size:,} in the vocabulary"
    standardized = ", standardised" if field.standardized else ""
    return f"{name} {_shape(field.shape)} {KINDS[field.kind]}{standardized}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "number"


def of_pair(pair: Pair, recipe: Recipe, dataset: Dataset) -> str:
    """Latents, guide and likelihood; leaves generators as they were."""
    few = placed(pair, dataset.split("valid", pair.inputs, 2))
    with scoring(pair, 0):
        p = draw(pair.model, few)
    latent = [_site(name, site) for name, site in sites(p, observed=False).items()]
    given = [name for name in pair.inputs if name not in sites(p)]
    observed = [
        f"p({name} | {', '.join([*sites(p, observed=False), *given])}) {family_of(site['fn'])}"
        for name, site in sites(p, observed=True).items()
    ]
    guide = "a guide of its own" if recipe.guide is None else f"guide {recipe.guide}"
    count = sum(parameter.numel() for parameter in pair.parameters() if parameter.requires_grad)
    of = recipe.model or "your own"
    return f"pair: {of}, {', '.join(latent) or 'no latent'}, {guide}; {', '.join(observed)}; {count:,} parameters"


def _site(name: str, site: Site) -> str:
    return f"{name} {_shape(tuple(site['fn'].event_shape))} {family_of(site['fn'])}"


def of_training(recipe: Recipe, dataset: Dataset, device: torch.device) -> str:
    """Objective, epochs, steps, optimizer and device."""
    config, size = recipe.training, batch_size(dataset, recipe.training)
    steps = -(-dataset.size("train") // size)
    processes = f", {world().size} processes" if world().size > 1 else ""
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" and torch.get_num_threads() > 1 else ""
    return (
        f"fit: {config.objective}, epochs x steps x data: {epochs(dataset, config):,} x {steps:,} x {size:,}, "
        f"{config.optimizer} at {config.lr:g}, {config.schedule}; {device}{threads}{processes}; seed {config.seed}"
    )
