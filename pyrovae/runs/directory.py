"""A run directory: `run.json` names every file that belongs to the run, with its size and checksum.

`run.json` is renamed last, so it is the one point at which a state of the directory becomes the next. A file that the
present `run.json` names is never overwritten with anything else: what is new goes under a free name, and what is no
longer named is removed afterwards. A process that is killed between any two writes leaves the old state or the new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from pyrovae.errors import PyrovaeError, UsageError, system
from pyrovae.runs import schema
from pyrovae.runs.schema import FORMAT, PATHS
from pyrovae.storage import atomic, reading

RUN, LOCK = "run.json", ".lock"

PICTURES = ("curves", "samples", "reconstructions", "latents")

METRICS = PATHS["metrics"]


def commit(folder: Path, content: Mapping[str, Any], contents: Mapping[str, bytes], keep: Collection[str] = ()) -> None:
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
        taken = next((each for each in before.values() if each["path"] == str(path)), None)
        if taken is not None and role not in PICTURES:
            size = taken["bytes"] if role == "metrics" else None  # to which lines may be added
            if hashlib.sha256(data[:size]).hexdigest() != taken["sha256"]:
                path, taken = path.with_stem(f"{path.stem}-{digest[:8]}"), None
        named[role] = {"path": str(path), "bytes": len(data), "sha256": digest}
        there = _holds(folder / path, data) if role == "metrics" else taken is not None and (folder / path).is_file()
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


def present(folder: Path) -> dict[str, Any]:
    """The present run.json, as far as it can be read: for writing, not for belief."""
    try:
        return schema.plain(_whole(folder / RUN, folder, schema.LIMIT), RUN)
    except (PyrovaeError, FileNotFoundError):
        return {}


def entries(folder: Path) -> dict[str, dict[str, Any]]:
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


def content(folder: Path) -> dict[str, Any]:
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


def read(folder: Path, content: Mapping[str, Any], role: str, largest: int | None = None) -> bytearray:
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


def path_of(folder: Path, content: Mapping[str, Any], role: str) -> str:
    """What errors call a file: where run.json says that it is."""
    named = content["files"].get(role)
    return str(folder / (PATHS[role] if named is None else named["path"]))


def verify(folder: Path, role: str, entry: Mapping[str, Any]) -> tuple[bytearray, int]:
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


def steady(folder: Path, use: Callable[[dict[str, Any]], T], tries: int = 50) -> T:
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


def metrics_path(named: Mapping[str, Mapping[str, Any]]) -> PurePosixPath:
    """Where the metrics lie, or will, where run.json names these files."""
    return PurePosixPath(named["metrics"]["path"] if "metrics" in named else METRICS)


def append_metrics(folder: Path, line: str) -> None:
    """Adds a line that the next `commit` will name."""
    with open(folder / metrics_path(entries(folder)), "a", encoding="utf-8") as file:
        file.write(line)


def is_run(path: Path) -> bool:
    """Whether there is a run directory, finished or not."""
    return (path / RUN).is_file() or (path / METRICS).is_file()


def require_free(path: Path, overwrite: bool) -> None:
    """Raises UsageError where a run directory may not be made: it exists, or it is something else."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise UsageError(f"{path} is a file: give a folder for the run")
    if all(each.name == LOCK for each in path.iterdir()):
        return
    if not is_run(path):
        raise UsageError(f"{path} is a folder with other things in it: give a new folder for the run")
    if not overwrite:
        raise UsageError(f"there is a run in {path} already: take another --out, --overwrite, or --resume {path}")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """No other process fits in this directory meanwhile; a killed process holds nothing.

    The directory is made, and taken away again where nothing was written in it.

    Raises:
        PyrovaeError: where another process fits in it.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise PyrovaeError(f"another fit runs in {folder}: wait for its end, or take another --out") from None
    except OSError as error:
        atomic.remove_empty(made)
        raise PyrovaeError(f"{folder / LOCK}: {system(error)}: no fit can hold {folder}") from None
    try:
        yield
    finally:
        try:
            if all(each.name == LOCK for each in folder.iterdir()):
                (folder / LOCK).unlink(missing_ok=True)
                atomic.remove_empty(made)
        finally:
            lock.release()
