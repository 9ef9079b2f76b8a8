"""What run.json holds of a run, and how a run is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pyrovae import registry
from pyrovae.data import Field
from pyrovae.runs import directory, tensors
from pyrovae.runs.claim import require_free
from pyrovae.runs.commit import commit
from pyrovae.runs.environment import environment
from pyrovae.runs.recipe import Recipe, Status
from pyrovae.runs.schema import PATHS
from pyrovae.runs.settings import to_toml
from pyrovae.runs.subject import Subject
from pyrovae.storage.jsonable import Json, JsonMapping


def header(
    recipe: Recipe,
    inputs: Sequence[str],
    fields: Mapping[str, Field],
    description: JsonMapping,
    status: Status,
    progress: JsonMapping | None,
) -> Json:
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
        "code": registry.code(recipe.model, recipe.guide, recipe.named()),
    }


def save(run: Subject, path: Path, overwrite: bool = False) -> Path:
    """Writes the run directory, all of it or nothing; in its own one it keeps the checkpoint and the pictures.

    Raises:
        UsageError: where there is another run already, without `overwrite`.
    """
    new = run.path is None or path.resolve() != run.path.resolve()
    if new:
        require_free(path, overwrite)
    progress = None if new else directory.present(path).get("progress")
    contents = {
        "weights": tensors.to_bytes(tensors.weights(run.pair)),
        "metrics": tensors.to_lines(run.metrics).encode(),
    }
    if (config := to_toml(run.recipe)) is not None:
        contents["config"] = config.encode()
    if run.vocabulary is not None:
        contents["vocabulary"] = run.vocabulary.to_json().encode()
    if not new:
        drawn = {name: path / PATHS[name] for name in directory.PICTURES}
        contents |= {name: picture.read_bytes() for name, picture in drawn.items() if picture.is_file()}
    content = header(run.recipe, run.pair.inputs, run.fields, run.description, run.status, progress)
    commit(path, content | {"results": dict(run.results)}, contents, () if new else ("checkpoint",))
    return path
