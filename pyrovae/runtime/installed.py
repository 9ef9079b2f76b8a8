"""What installed packages add to pyrovae: their entry points, and where their modules lie."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def installed(group: str) -> dict[str, EntryPoint]:
    """Name -> entry point of a group; of two packages that add a name, the first on the path has it.

    To look takes 6 ms where 90 packages are installed, and a pair that is built asks seven times. So what was found is
    remembered as long as the path and the folders on it are as they were. And `importlib.metadata`, whose import takes
    longer than that of click, is asked only where a package may add to the group.

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
    found: dict[str, EntryPoint] = {}
    others = [finder for finder in sys.meta_path if finder is not PathFinder and hasattr(finder, "find_distributions")]
    if not others and not any(_may_add(folder or ".", f"[{group}]".encode()) for folder, _ in times):
        return found
    from importlib.metadata import entry_points

    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return found


def _may_add(place: str, header: bytes) -> bool:
    """Whether a package in a folder on the path has entry points of a group; whether it may have, in an archive."""
    if not os.path.isdir(place):
        return True
    for package in os.listdir(place):
        if package.endswith((".dist-info", ".egg-info")):
            with suppress(OSError), open(os.path.join(place, package, "entry_points.txt"), "rb") as file:
                if header in file.read():
                    return True
    return False


def file_of(module: str) -> Path | None:
    """The file of a module by its dotted name, as an import would find it, but without running the packages around it;
    None where there is none."""
    path, spec, whole = None, None, ""
    for part in module.split("."):
        whole = f"{whole}.{part}" if whole else part
        try:
            specs = (finder.find_spec(whole, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
            spec = next((found for found in specs if found is not None), None)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        path = spec.submodule_search_locations
        if path is None and whole != module:
            return None
    if spec is None or not spec.has_location or spec.origin is None or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin)
