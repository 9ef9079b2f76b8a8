"""What installed packages add to pyrovae: their entry points."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def installed(group: str) -> dict[str, EntryPoint]:
    """Name -> entry point of a group; of two packages that add a name, the first on the path has it.

    To look takes 6 ms where 90 packages are installed, and a pair that is built asks seven times. So what was found is
    remembered as long as the path and the folders on it are as they were.

    Args:
        group: `pyrovae.models`, `pyrovae.guides` and so on.
    """
    times = []
    for folder in sys.path:
        with suppress(OSError):
            times.append((folder, os.stat(folder or ".").st_mtime_ns))
    return dict(_found(group, tuple(times)))


@functools.lru_cache(maxsize=64)
def _found(group: str, times: tuple[tuple[str, int], ...]) -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # not before it is needed: it takes as long as click

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found
