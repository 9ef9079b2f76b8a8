"""What run.json holds of a run, and how a run is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pyrovae import registry
from pyrovae.data import Field
from pyrovae.runs.environment import environment
from pyrovae.runs.recipe import Recipe

Status = Literal["training", "trained", "done"]
"""How far a fit is: its steps, then its scores, are still to be done; or nothing is."""


def header(
    recipe: Recipe,
    inputs: Sequence[str],
    fields: Mapping[str, Field],
    description: Mapping[str, Any],
    status: Status,
    progress: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What run.json says, without the results and the files.

    `progress` is where the checkpoint stands (`pyrovae.runs.checkpoint.Position`).
    """
    return {
        "status": status,
        "recipe": recipe.to_json(),
        "inputs": list(inputs),
        "fields": {name: field.to_json() for name, field in fields.items()},
        "data": dict(description),
        "progress": progress,
        "environment": environment(),
        "code": registry.code(recipe.model, recipe.guide),
    }
