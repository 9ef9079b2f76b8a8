"""Data sets: `load(spec, config)` makes a Dataset of a name, a path, or tensors; importing it imports no torch."""

import importlib
from typing import TYPE_CHECKING, Any

from pyrovae.data.catalogue import SOURCES, load, sources
from pyrovae.data.field import Field
from pyrovae.data.options import DataConfig, Source

if TYPE_CHECKING:
    from pyrovae.data.dataset import Dataset
    from pyrovae.data.transforms import with_quadrants

__all__ = ["SOURCES", "DataConfig", "Dataset", "Field", "Source", "load", "sources", "with_quadrants"]

_HOMES = {"Dataset": "pyrovae.data.dataset", "with_quadrants": "pyrovae.data.transforms"}
"""Loaded when they are first used: they need torch."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
