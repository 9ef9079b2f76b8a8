""".npy and .npz files; never a pickle."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from pyrovae.data.columns import arrange, numbers
from pyrovae.errors import PyrovaeError

SPLIT_OF = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
FIELD_OF = {"data": "x", "images": "x", "labels": "y", "targets": "y"}
_SPLITS = "|".join(SPLIT_OF)
KEY = re.compile(rf"(?:(?P<field>\w+?)_(?P<last>{_SPLITS})|(?P<first>{_SPLITS})(?:_(?P<rest>\w+))?)")


def read_array(path: Path) -> Any:
    """The array of a .npy file; of a .npz, fields (`x`) or splits of fields (`train`, `x_train`, `test_labels`)."""
    return by_split(read_npz(path), str(path)) if path.suffix == ".npz" else _load(path)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Name -> array."""
    found = _load(path)
    if not isinstance(found, dict):
        raise PyrovaeError(f"{path} is no .npz file: name it .npy")
    if not found:
        raise PyrovaeError(f"{path} holds no array")
    return found


def by_split(arrays: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Sorts names that carry a split (`x_train`, `train_images`, `test`) into split -> field; others are fields."""
    splits: dict[str, dict[str, Any]] = {}
    plain = [name for name in arrays if not KEY.fullmatch(name)]
    if plain and len(plain) < len(arrays):
        raise PyrovaeError(
            f"{where} mixes '{plain[0]}' with names that carry a split: give all of them a split, or none"
        )
    if plain:
        return {FIELD_OF.get(name, name): array for name, array in arrays.items()}
    for name, array in arrays.items():
        match = KEY.fullmatch(name)
        assert match is not None
        field = match["field"] or match["rest"] or "x"
        fields = splits.setdefault(SPLIT_OF[match["last"] or match["first"]], {})
        if FIELD_OF.get(field, field) in fields:
            raise PyrovaeError(f"{where} holds '{name}' under a second name: leave one out")
        fields[FIELD_OF.get(field, field)] = array
    return splits


class NpyFile:
    """The array of a .npy file, mapped into memory: rows are read when they are asked for.

    See `pyrovae.data.stored.Source`. The file is opened anew in each process, so that its content never goes from one
    to another.
    """

    costly = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._array: np.ndarray | None = None
        array = self._opened()
        if array.ndim == 0 or array.size == 0:
            raise PyrovaeError(f"{path} has shape {array.shape}: give at least one datum of at least one number")
        one = self.read(np.arange(1))
        self.shape, self.dtype = (len(array), *one.shape[1:]), one.dtype

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None}

    def read(self, rows: np.ndarray) -> Tensor:
        """See Source."""
        what = f"{self.path}, rows {rows.min()} to {rows.max()},"
        return arrange(numbers(self._opened()[rows], what), what)

    def stamps(self, rows: np.ndarray) -> Iterator[bytes]:
        """None: the values are looked at."""
        return iter(())

    def _opened(self) -> np.ndarray:
        if self._array is None:
            found = _load(self.path, "r")
            if not isinstance(found, np.ndarray):
                raise PyrovaeError(f"{self.path} is a .npz file, which cannot be streamed: save one array as .npy")
            self._array = found
        return self._array


def _load(path: Path, mmap_mode: Literal["r"] | None = None) -> Any:
    try:
        found = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            return found
        with found:
            return {name: found[name] for name in found.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise PyrovaeError(f"{path} holds Python objects, which are never loaded: save arrays of numbers") from None
        raise PyrovaeError(f"{path} is no array file of numpy, or damaged ({error}): save it again") from None
