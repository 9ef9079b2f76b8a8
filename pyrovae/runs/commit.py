"""A run directory is written through one commit point; see pyrovae.runs.directory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pyrovae.runs import schema
from pyrovae.runs.directory import METRICS, PICTURES, RUN, entries
from pyrovae.runs.schema import FORMAT, PATHS
from pyrovae.storage import atomic
from pyrovae.storage.jsonable import JsonMapping


def commit(folder: Path, content: JsonMapping, contents: Mapping[str, bytes], keep: Collection[str] = ()) -> None:
    """Makes a state of the run directory the next one, all of it or nothing.

    Args:
        folder: the run directory.
        content: what run.json says, without `format` and `files`.
        contents: role -> content. `metrics` that lie there already, line by line, are left as they are; pictures were
            drawn in their places.
        keep: roles of the present run.json that stay as they are.

    Raises:
        OSError: where something cannot be written; the present state stays.
    """
    before = entries(folder)
    named: dict[str, dict[str, Any]] = {role: before[role] for role in keep if role in before}
    new: dict[Path, bytes] = {}
    for role, data in contents.items():
        path, digest = PurePosixPath(PATHS[role]), hashlib.sha256(data).hexdigest()
        present = next((each for each in before.values() if each["path"] == str(path)), None)
        if present is not None and role not in PICTURES:
            size = present["bytes"] if role == "metrics" else None  # to which lines may be added
            if hashlib.sha256(data[:size]).hexdigest() != present["sha256"]:
                path, present = path.with_stem(f"{path.stem}-{digest[:8]}"), None
        named[role] = {"path": str(path), "bytes": len(data), "sha256": digest}
        there = _holds(folder / path, data) if role == "metrics" else present is not None and (folder / path).is_file()
        if not there and role not in PICTURES:
            new[folder / path] = data
    text = atomic.to_json(schema.sealed({"format": FORMAT, **content, "files": named})).encode()
    fresh = [each for each in new if not each.exists()]
    try:
        atomic.write_together({folder / RUN: text, **new})
    except OSError:
        for each in fresh:
            each.unlink(missing_ok=True)
        raise
    clear(folder, {each["path"] for each in named.values()})


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file is `data`, which is then on the disk."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        if file.read(len(data) + 1) != data:
            return False
        os.fsync(file.fileno())
    return True


def clear(folder: Path, keep: Collection[str]) -> None:
    """Removes what a run may have left: files of ours that run.json does not name, and unfinished ones."""
    for place in (folder, folder / "state"):
        for path in place.glob("*") if place.is_dir() and not (place.is_symlink() and place != folder) else ():
            name = path.relative_to(folder).as_posix()
            if OURS.fullmatch(name) and name not in keep:
                with contextlib.suppress(OSError):
                    path.unlink()
    with contextlib.suppress(OSError):
        (folder / "state").rmdir()  # where it is empty


_STEMS = "|".join(re.escape(path.rpartition(".")[0]) for path in PATHS.values())


_ENDS = "|".join(sorted({path.rpartition(".")[2] for path in PATHS.values()}))


OURS = re.compile(rf"(?:{_STEMS}|state/last)(?:-[0-9a-f]{{8}})?\.(?:{_ENDS})|(?:state/)?\.[0-9a-f]{{8}}\.[\w.-]+")
"""Names that only a run has: those above, and those of files on their way to them."""


def metrics_path(named: Mapping[str, JsonMapping]) -> PurePosixPath:
    """Where the metrics lie, or will, where run.json names these files."""
    return PurePosixPath(named["metrics"]["path"] if "metrics" in named else METRICS)


def append_metrics(folder: Path, line: str) -> None:
    """Adds a line that the next `commit` will name."""
    with open(folder / metrics_path(entries(folder)), "a", encoding="utf-8") as file:
        file.write(line)
