"""A run directory: `run.json` names every file that belongs to the run, with its size and checksum.

`run.json` is renamed last, so it is the one point at which a state of the directory becomes the next. A file that the
present `run.json` names is never overwritten with anything else: what is new goes under a free name, and what is no
longer named is removed afterwards. A process that is killed between any two writes leaves the old state or the new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.runs import schema
from pyrovae.runs.schema import PATHS
from pyrovae.storage import reading
from pyrovae.storage.jsonable import Json, JsonMapping

RUN, LOCK = "run.json", ".lock"

PICTURES = ("curves", "samples", "marginals", "reconstructions", "latents", "plane", "traversals")

METRICS = PATHS["metrics"]


def present(folder: Path) -> Json:
    """The present run.json, as far as it can be read: for writing, not for belief."""
    try:
        return schema.plain(_whole(folder / RUN, folder, schema.LIMIT), RUN)
    except (PyrovaeError, FileNotFoundError):
        return {}


def entries(folder: Path) -> dict[str, Json]:
    """The files that the present run.json names, by role."""
    named = present(folder).get("files")
    found = named.items() if isinstance(named, dict) else ()
    return {role: each for role, each in found if is_entry(role, each) and each["sha256"] is not None}


def is_entry(role: str, entry: Any) -> bool:
    """Whether run.json may name such a file."""
    try:
        schema.require_ours(role, schema.Entry(**entry).path)
    except (ValueError, KeyError, TypeError):
        return False
    return {"path", "bytes", "sha256"} <= set(entry)


def content(folder: Path) -> Json:
    """run.json, checked against its checksum and its schema; an older one as if it were new.

    Raises:
        FileNotFoundError: where there is none.
        PyrovaeError: where it is damaged, too large, or no regular file in the folder.
    """
    found = schema.parse(_whole(folder / RUN, folder, schema.LIMIT), str(folder / RUN))
    if found["files"] or "checksum" in found:
        return found
    there = {role: path for role, path in PATHS.items() if (folder / path).is_file()}  # the oldest format names none
    return found | {"files": {role: {"path": path, "bytes": None, "sha256": None} for role, path in there.items()}}


def no_run(folder: Path) -> UsageError:
    """What is told where there is no run.json, and why there is none."""
    unfinished = (folder / METRICS).is_file()
    why = (
        "its fit did not finish"
        if unfinished
        else "there is no run.json in it"
        if folder.is_dir()
        else "it is a file"
        if folder.is_file()
        else "no such folder"
    )
    return UsageError(f"{folder} is not a run directory ({why}): give the folder that `pyrovae fit` printed")


def _whole(path: Path, folder: Path, largest: int) -> bytearray:
    with reading.regular(path, folder) as (file, size):
        if size > largest:
            raise PyrovaeError(f"{path} has {size:,} bytes, and {largest:,} is the most: it is not read")
        return reading.first(file, size, path)


def read(folder: Path, content: JsonMapping, role: str, largest: int | None = None) -> bytearray:
    """The content of a file that run.json names, once, in memory that tensors may be made of.

    Args:
        folder: the run directory.
        content: run.json.
        role: of the file.
        largest: bytes that it may have; None for any number.

    Raises:
        PyrovaeError: where it is missing, or is not what run.json says.
    """
    try:
        entry = content["files"][role]
        name, expected, digest = entry["path"], entry["bytes"], entry["sha256"]
        path = folder / name
    except (KeyError, TypeError):
        raise PyrovaeError(f"{folder / RUN} names no file of {role}: the file is damaged") from None
    try:
        with reading.regular(path, folder) as (file, size):
            if expected is not None:
                require_size(path, role, size, expected)
                size = expected  # epochs after the checkpoint are left out of metrics
            if largest is not None and size > largest:
                raise PyrovaeError(f"{path} has {size:,} bytes, and {largest:,} is the most: it is not read")
            data = reading.first(file, size, path)
    except FileNotFoundError:
        raise PyrovaeError(f"there is no {path}, which {RUN} names: the file was removed") from None
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise PyrovaeError(_differs(path))
    return data


def path_of(folder: Path, content: JsonMapping, role: str) -> str:
    """What errors call a file: where run.json says that it is."""
    named = content["files"].get(role)
    return str(folder / (PATHS[role] if named is None else named["path"]))


def verify(folder: Path, role: str, entry: JsonMapping) -> tuple[bytearray, int]:
    """Reads a file piece by piece, as large as it may be.

    Returns:
        Its first bytes, with the header where it holds tensors, and its size as run.json has it.

    Raises:
        FileNotFoundError: where there is none.
        PyrovaeError: where it is not what run.json says.
    """
    path, expected, digest = folder / entry["path"], entry["bytes"], hashlib.sha256()
    with reading.regular(path, folder) as (file, size):
        if expected is not None:
            require_size(path, role, size, expected)
            size = expected
        left, head = size, reading.first(file, min(size, reading.PIECE), path)
        piece = head
        while piece:
            digest.update(piece)
            left -= len(piece)
            piece = reading.first(file, min(left, reading.PIECE), path)
    if expected is not None and digest.hexdigest() != entry["sha256"]:
        raise PyrovaeError(_differs(path))
    return head, size


def require_size(path: Path, role: str, size: int, expected: int) -> None:
    """Raises PyrovaeError where a file has another size than run.json says; metrics may have grown."""
    if size != expected and not (role == "metrics" and size > expected):
        raise PyrovaeError(f"{_differs(path, f'{size:,} bytes, and not {expected:,}')}")


def _differs(path: Path, how: str = "other values in as many bytes") -> str:
    return f"{path} is not the file that {RUN} names (its checksum differs: {how}): the file is damaged"


T = TypeVar("T")


def steady(folder: Path, use: Callable[[Json], T], tries: int = 50) -> T:
    """What `use` makes of run.json and of files that it names, of one state of the directory.

    A fit that runs may commit its next state in between, and take away a file of the one before: then once more.

    Raises:
        FileNotFoundError: where there is no run.json.
        PyrovaeError: where something is damaged.
    """
    while True:
        found = content(folder)
        try:
            return use(found)
        except PyrovaeError:
            tries -= 1
            if not tries or content(folder) == found:
                raise
