"""Whose a run directory is: locked, free or taken."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pyrovae.errors import PyrovaeError, UsageError, option, system
from pyrovae.runs.directory import LOCK, METRICS, RUN
from pyrovae.storage import atomic


def is_run(path: Path) -> bool:
    """Whether there is a run directory, finished or not."""
    return (path / RUN).is_file() or (path / METRICS).is_file()


def require_free(path: Path, overwrite: bool) -> None:
    """Raises UsageError where a run directory may not be made: it exists, or it is something else."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise UsageError(f"{path} is a file: give a folder for the run")
    if all(each.name == LOCK or atomic.is_aside(each) for each in path.iterdir()):
        return  # empty, or a fit was killed where it began to write
    if not is_run(path):
        raise UsageError(f"{path} is a folder with other things in it: give a new folder for the run")
    if not overwrite:
        raise UsageError(
            f"there is a run in {path} already: take another {option('out')}, {option('overwrite', True)}, or "
            f"{option('resume', path, command='fit')}"
        )


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
        raise PyrovaeError(f"another fit runs in {folder}: wait for its end, or take another {option('out')}") from None
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
