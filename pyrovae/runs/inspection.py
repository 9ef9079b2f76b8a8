"""What a run directory holds, told without running any of it, as far as it can be read; needs no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pyrovae import registry
from pyrovae.config import Config
from pyrovae.data.options import DataConfig
from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.options import TrainConfig
from pyrovae.runs import directory, schema, texts
from pyrovae.storage import headers
from pyrovae.storage.jsonable import Json, JsonMapping
from pyrovae.storage.reading import foreign

LISTED = 100
"""Files that no run.json names, at most."""


def inspect(folder: Path) -> Json:
    """All about a run.

    Returns:
        What run.json says; `files`, each with its verdict: `ok`, `differs`, `missing`, or `unchecked` where an old
        run.json has no checksums; `not_named`, other files in the folder; `tensors`, by file; `damage`, a sentence for
        each thing that is wrong; `resume`, the command that goes on, where something is left to do.

    Raises:
        UsageError: where there is no run.
    """
    for _ in range(5):  # a fit that runs may commit meanwhile
        found, before = _report(folder), directory.present(folder)
        if not found["damage"] or found["_content"] == before:
            break
    del found["_content"]
    return found


def _report(folder: Path) -> Json:
    damage: list[str] = []
    try:
        content = directory.content(folder)
        raw = directory.present(folder)
    except FileNotFoundError:
        raise directory.no_run(folder) from None
    except PyrovaeError as error:
        if not os.path.isdir(folder):  # a name that no file can have
            raise
        damage.append(str(error))
        content = raw = directory.present(folder)
    recipe, entries = _object(content.get("recipe")), _object(content.get("files"))
    files: list[dict[str, Any]] = []
    tensors: dict[str, dict[str, Any]] = {}
    for role, entry in entries.items():
        files.append(_file(folder, role, entry, damage, tensors))
    results = _object(content.get("results"))
    return {
        "run": str(folder),
        "format": raw.get("format"),
        "status": content.get("status"),
        "model": recipe.get("model"),
        "guide": recipe.get("guide"),
        "frozen": recipe.get("frozen"),
        "inputs": content.get("inputs"),
        "fields": content.get("fields"),
        "data": content.get("data"),
        "options": {
            "model": _object(recipe.get("options")),
            "data": _changed(DataConfig, recipe.get("data_options")),
            "training": _changed(TrainConfig, recipe.get("training")),
        },
        "progress": content.get("progress"),
        "results": results,
        "own_code": code_now(recipe, _object(content.get("code"))),
        "environment": content.get("environment"),
        "files": files,
        "not_named": _not_named(folder, {each["path"] for each in files}),
        "tensors": tensors,
        "parameters": results.get("parameters"),
        "damage": damage,
        "resume": f"pyrovae fit --resume {folder}" if content.get("status") in ("training", "trained") else None,
        "_content": raw,
    }


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _changed(config: type[Config], values: object) -> Json:
    """The options that are not as they are by default."""
    defaults = config().model_dump(mode="json")
    return {name: value for name, value in _object(values).items() if name not in defaults or defaults[name] != value}


def _file(folder: Path, role: str, entry: Any, damage: list[str], tensors: dict[str, Json]) -> Json:
    """One file that run.json names; tells what is wrong with it in `damage`, and what it holds in `tensors`."""
    about: dict[str, Any] = {"role": role, "path": None, "bytes": None, "sha256": None, "verdict": "differs"}
    try:
        entry = schema.Entry(**entry).model_dump()
        if role not in schema.PATHS:
            raise ValueError(f"no file of a run is called {role[:80]}")
        schema.require_ours(role, entry["path"])
    except (ValueError, TypeError) as error:
        if not damage:
            damage.append(f"{folder / directory.RUN} is damaged ({error})")
        return about | {"verdict": "not named rightly"}
    about |= entry
    path = folder / entry["path"]
    try:
        head, size = directory.verify(folder, role, entry)
        about |= {"bytes": size, "verdict": "ok" if entry["sha256"] else "unchecked"}
        if role in ("weights", "checkpoint"):
            tensors[entry["path"]] = _tensors(path, head, size)
        elif role == "metrics" and size == len(head):
            about["lines"] = len(texts.metrics_of(head, str(path)))
        elif role == "vocabulary" and size == len(head):
            about["words"] = texts.words_of(head, str(path))
    except FileNotFoundError:
        damage.append(f"there is no {path}, which {directory.RUN} names: the file was removed")
        about["verdict"] = "missing"
    except PyrovaeError as error:
        damage.append(str(error))
        about["verdict"] = "differs"
    return about


def _tensors(path: Path, head: bytearray, size: int) -> Json:
    try:
        found = headers.places(head, size)
    except ValueError as error:
        raise PyrovaeError(f"{path} cannot be read ({foreign(head) or error}): the file is damaged") from None
    return {name: {"dtype": each.dtype, "shape": list(each.shape)} for name, each in found.items()}


def code_now(recipe: JsonMapping, recorded: JsonMapping) -> list[Json]:
    """The user's own code that a run names, as it is now, and whether it is as it was."""
    model, guide = (recipe[key] if isinstance(recipe.get(key), str) else None for key in ("model", "guide"))
    named = _object(recipe.get("options")) | {"objective": _object(recipe.get("training")).get("objective")}
    try:
        names = registry.own_code(model, guide, named)
        now = registry.code(model, guide, named)
    except (UsageError, OSError):
        return []
    found = []
    for name in names:
        path, was = registry.found_in(name), _object(recorded.get(name)).get("sha256")
        each = {"name": name, "path": None if path is None else str(path.resolve()), **now.get(name, {}), "was": was}
        verdict = "as it was when the run was made" if was == each.get("sha256") else "changed since the run was made"
        missing, unknown = "there is no such file now", "not known how it was when the run was made"
        found.append(each | {"verdict": missing if path is None else unknown if was is None else verdict})
    return found


def require_trusted(folder: Path, content: JsonMapping, trust: bool) -> list[str]:
    """The user's own code that a run names; raises UsageError where there is some and it is not trusted."""
    recipe = content["recipe"]
    own = registry.own_code(recipe["model"], recipe["guide"], recipe["options"])
    if own and not trust:
        raise UsageError(f"{folder} was made with your own code, {own[0]}: it is only run with {option('trust', True)}")
    return own


def require_run(folder: Path, trust: bool) -> None:
    """Raises, without torch, what loading a run raises where its run.json is missing, damaged or not to be trusted."""
    try:
        content = directory.content(folder)
    except FileNotFoundError:
        raise directory.no_run(folder) from None
    require_trusted(folder, content, trust)


def code_of(folder: Path) -> list[Json]:
    """The user's own code that loading a run would run, as it is now; that of the run whose model is frozen, too.

    Raises:
        FileNotFoundError, PyrovaeError: where there is no run, or it is damaged.
    """
    content = directory.content(folder)
    found, frozen = code_now(content["recipe"], content.get("code", {})), content["recipe"].get("frozen")
    if frozen is None or frozen["run"] is None:
        return found
    try:
        source = directory.content(Path(frozen["run"]))
    except (FileNotFoundError, PyrovaeError):
        return found
    return found + [each for each in code_now(source["recipe"], source.get("code", {})) if each not in found]


def _not_named(folder: Path, named: set[str]) -> list[str]:
    """Other files in the folder, at most LISTED."""
    found = []
    for place in (folder, folder / "state"):
        try:
            paths = sorted(place.iterdir()) if place.is_dir() else []
        except OSError:
            continue
        names = [path.relative_to(folder).as_posix() for path in paths]
        found += [name for name in names if name not in named | {directory.RUN, directory.LOCK, "state"}]
    return found[:LISTED]
