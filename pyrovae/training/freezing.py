"""One model, several guides: the model of a run, frozen, while only a guide is trained.

Guides that each train a model of their own differ in two things at once. With one frozen model log p(x) is the same for
all, so a higher ELBO is a smaller KL(q(z | x) || p(z | x)).

Chris Cremer, Xuechen Li, David Duvenaud: Inference Suboptimality in Variational Autoencoders. ICML 2018.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from pyrovae import registry
from pyrovae.config import Settings
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load as load_data
from pyrovae.data.dataset import Dataset
from pyrovae.data.raw import DataSpec
from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.pairs.modes import evaluating, unvalidated
from pyrovae.pairs.pair import ModelSpec, Pair
from pyrovae.pairs.traces import draw, sites
from pyrovae.runs import tensors
from pyrovae.runs.data import found_at
from pyrovae.runs.loading import load
from pyrovae.runs.recipe import Recipe, require_repeated
from pyrovae.runs.run import Run
from pyrovae.runtime.seeding import seeded
from pyrovae.storage.jsonable import Json

ELSEWHERE = ("data_root", "download", "workers", "stream")
"""Options of data that say where they are and how they are read, not which they are: the fingerprint says that."""


def source_of(run: str | Path | Run, trust: bool = False) -> Run:
    """The run whose model is to be frozen, on the CPU where it is loaded.

    Raises:
        UsageError: where there is no run, its code is not trusted, or its pair cannot be built with another guide.
    """
    source = run if isinstance(run, Run) else load(run, device="cpu", trust=trust)
    model = source.recipe.model
    if model is None:
        raise UsageError(
            f"{_named(source)} holds a pair that was handed over in Python, which brings its guide: "
            f"fit a name or my_model.py:MyVAE with a parameter `family`"
        )
    if registry.variant(model).guide is None:
        raise UsageError(
            f"{_named(source)} holds {model}, which brings a guide of its own: give it a parameter `family`"
        )
    return source


def recipe_of(
    source: Run,
    model: ModelSpec | None = None,
    guide: str | None = None,
    data: DataSpec | None = None,
    settings: Settings | None = None,
) -> Recipe:
    """The recipe of a guide on the model of `source`: all is as it was there, but the guide and options of training.

    Args:
        source: as `source_of` gives it.
        model: None, or the same name once more.
        guide: spec of the guide family; None takes that of the run.
        data: None, or the same data; their fingerprint is compared in `data_of`.
        settings: options of training; options of model and data may only be repeated.

    Raises:
        UsageError: for what contradicts the run, by name, or does not fit.
    """
    was, given = source.recipe, dict(settings or {})
    if model is not None and model != was.model:
        other = model if isinstance(model, str) else f"a {type(model).__name__}"
        raise UsageError(f"{_named(source)} is a run of model {was.model}, not of {other}: leave the model out")
    assert was.model is not None and was.options is not None
    variant, data_options = registry.variant(was.model), source.data_options()
    require_repeated(_named(source), given, was.options)
    require_repeated(_named(source), given, data_options, ELSEWHERE)
    inherited = {**was.options.model_dump(), **data_options.model_dump(), **was.training.model_dump()}
    spec = str(data) if isinstance(data, str | Path) else was.data if data is None else None
    return Recipe.of(variant, was.guide if guide is None else guide, spec, inherited | given)


def data_of(source: Run, data: DataSpec | None, options: DataConfig) -> Dataset:
    """The data of `source` as its pair reads them; raises PyrovaeError where `data` are others."""
    spec = source.recipe.data
    if data is None and (spec is None or options == source.data_options()):
        return source.data
    if data is None:
        assert spec is not None
        data = found_at(spec, options.data_root)
    try:
        return source.checked(data if isinstance(data, Dataset) else load_data(data, options))
    except PyrovaeError as error:
        raise type(error)(f"{_named(source)} is frozen with its data: {error}") from None


def freeze(pair: Pair, source: Run, batch: Sequence[Tensor]) -> Json:
    """Gives the model of `pair` the weights of that of `source`, and takes its parameters out of training.

    A parameter that the guide shares with the model is frozen, too.

    Args:
        pair: of the same variant and options, with any guide.
        source: as `source_of` gives it.
        batch: a few data, to see that the model reads no weights of the guide.

    Returns:
        What run.json keeps: `run`, the path as it was given; `weights`, the SHA-256 of the weights of the model;
        `shared`, the parameters of the guide that are frozen with it.

    Raises:
        PyrovaeError: where the weights do not fit, or the model depends on weights of the guide that are not its own.
    """
    tensors.set_weights(pair.model, tensors.weights(source.pair.model), f"the weights of the model of {_named(source)}")
    frozen = {id(parameter) for parameter in pair.model.parameters()}
    for parameter in pair.model.parameters():
        parameter.requires_grad_(False)
    with seeded(0, batch[0].device), unvalidated(), evaluating(pair):
        p = draw(pair.model, batch)
        p.compute_log_prob()
    if any(site["log_prob"].requires_grad for site in sites(p).values()):
        raise PyrovaeError(
            f"the model of {_named(source)} reads weights of the guide, so it is another model with each guide: "
            f"it cannot be frozen"
        )
    shared = [name for name, parameter in pair.guide.named_parameters() if id(parameter) in frozen]
    return {"run": None if source.path is None else str(source.path), "weights": checksum(pair.model), "shared": shared}


def checksum(module: nn.Module) -> str:
    """SHA-256 of names, types, shapes and bits of parameters and buffers."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.weights(module).items()):
        tensor = tensor.cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _named(source: Run) -> str:
    return "the run of freeze_model" if source.path is None else option("freeze_model", source.path)
