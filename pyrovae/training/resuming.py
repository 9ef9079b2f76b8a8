"""From a run directory to the fit that goes on in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pyrovae import registry
from pyrovae.config import Settings
from pyrovae.data.raw import DataSpec
from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.pairs.pair import Pair
from pyrovae.runs.checkpoint import Checkpoint
from pyrovae.runs.data import data_of
from pyrovae.runs.environment import environment
from pyrovae.runs.loading import Opened, opened
from pyrovae.runs.recipe import Recipe, require_repeated
from pyrovae.runtime import devices
from pyrovae.runtime.ranks import world
from pyrovae.training import freezing
from pyrovae.training.order import epochs
from pyrovae.training.plan import Plan

FREE = ("epochs", "device", "data_root", "download", "workers", "checkpoint_every", "max_memory")
"""Options that may be others than before."""


def plan(
    path: str | Path, model: Pair | Callable[..., Pair] | None, data: DataSpec | None, trust: bool, settings: Settings
) -> Plan:
    """The plan of a fit that goes on.

    Args:
        path: the run directory.
        model: the pair, or the class or function that gives it, where the run was made with one that was handed over
            in Python; else None.
        data: the tensors, where the run was made with tensors; else None.
        trust: run the user's own Python file where the run names one.
        settings: options that differ from those of the run.

    Raises:
        UsageError: where there is nothing to go on with, or an option contradicts the run.
        PyrovaeError: where the directory is damaged, or the data are others.
    """
    path = Path(path)
    stopped = opened(path, model, trust)
    # Whoever loads a run to score it has no use for its objective; here its code would be run.
    if not trust and (own := registry.own_code(None, None, {"objective": stopped.recipe.training.objective})):
        raise UsageError(f"{path} was made with your own code, {own[0]}: it is only run with {option('trust', True)}")
    recipe = _changed(stopped.recipe, path, settings)
    start = Checkpoint.read(path, stopped.content) if "checkpoint" in stopped.content["files"] else None

    dataset = data_of(recipe, stopped.description, data)
    before, total = epochs(dataset, stopped.recipe.training), epochs(dataset, recipe.training)
    if total < before:
        raise UsageError(f"{option('epochs', total)} is less than the {before} of {path}: give {before} or more")
    _require_more(path, stopped, total)
    source = None
    if recipe.frozen is not None:
        if recipe.frozen["run"] is None:
            raise UsageError(f"the model of {path} was frozen from a run that was not saved: it cannot be resumed")
        source = freezing.source_of(recipe.frozen["run"], trust)
        if freezing.checksum(source.pair.model) != recipe.frozen["weights"]:
            raise PyrovaeError(
                f"{recipe.frozen['run']} is not the run whose model was frozen in {path}: it has changed"
            )
    if start is None:
        stopped.require_affordable()
    else:
        stopped.require_outline(start.weights, "the weights of the checkpoint")
    notes = [] if start is None else _differences(start, stopped, recipe)
    folder, pair = None if world().rank else path, model if isinstance(model, Pair) else None
    return Plan(recipe, stopped.variant, dataset, folder, pair, source, start, tuple(notes))


def _changed(recipe: Recipe, path: Path, settings: Settings) -> Recipe:
    """The recipe with what may be changed."""
    groups: dict[str, Any] = {
        name: getattr(recipe, name) for name in ("options", "data_options", "training") if getattr(recipe, name)
    }
    for key in settings:
        if not any(key in type(group).model_fields for group in groups.values()):
            raise UsageError(f"{option('resume', path)}: there is no option '{key}'")
    for name, group in groups.items():
        groups[name] = require_repeated(option("resume", path), settings, group, FREE)
    return dataclasses.replace(recipe, **groups)


def _require_more(path: Path, found: Opened, total: int) -> None:
    """Raises UsageError where nothing is left to do."""
    progress, results = found.content["progress"], found.content["results"]
    if found.content["status"] != "done":
        return
    if progress is None:
        raise UsageError(f"{path} holds no checkpoint to go on from: fit again, with another {option('out')}")
    if results.get("stopped") in ("patience", "diverged"):
        raise UsageError(f"the fit of {path} has ended ({results['stopped']}): more epochs would change nothing")
    if total <= progress["epoch"]:
        raise UsageError(f"all {progress['epoch']} epochs of {path} are trained: give more, {option('epochs')} N")


def _differences(start: Checkpoint, found: Opened, recipe: Recipe) -> list[str]:
    """Why the bits may be others than those of a fit that was not stopped."""
    at, was = start.position, found.content["environment"]
    device, now = devices.find(recipe.training.device).type, environment()
    changed = []
    if device != at.device:
        changed.append(f"on {device} and not on {at.device}")
    elif device == "cpu" and torch.get_num_threads() != at.threads:
        changed.append(f"with {torch.get_num_threads()} threads and not {at.threads}")
    if world().size != at.ranks:
        changed.append(f"with {world().size} processes and not {at.ranks}")
    changed += [
        f"with {name} {now[name]} and not {was[name]}" for name in ("pyrovae", "torch") if now[name] != was[name]
    ]
    notes = []
    if changed:
        notes.append(f"training goes on {' and '.join(changed)}: the bits may be others than without the stop")
    total = recipe.training.epochs
    if total is not None and total != at.of and recipe.training.schedule != "constant":
        notes.append(
            f"the {recipe.training.schedule} schedule is now one of {total} epochs and not of {at.of}: the learning "
            f"rate goes up where training goes on"
        )
    return notes
