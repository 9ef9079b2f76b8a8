"""Tables written by the ending of their name: .csv, .npz or .parquet, whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrovae.errors import PyrovaeError
from pyrovae.storage.atomic import aside, write_arrays

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".csv", ".npz", ".parquet")


def write_table(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Writes columns of one length; arrays of more dims stand as they are in a .npz, and in a table a column a number:
    `z_mean_0`, `z_mean_1`.

    Numbers of a .csv have all their digits, so that reading them gives the same bits.

    Raises:
        PyrovaeError: where a .parquet is asked for and pyarrow is not installed.
    """
    if path.suffix == ".npz":
        write_arrays(path, columns)
    elif path.suffix == ".parquet":
        _write_parquet(path, dict(_flat(columns)))
    else:
        _write_csv(path, dict(_flat(columns)))


def require_writable(path: Path | None) -> None:
    """Raises PyrovaeError for a .parquet that could not be written, before any work is done."""
    if path is not None and path.suffix == ".parquet":
        _pyarrow(path)


def _flat(columns: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, column in columns.items():
        at: Any
        for at in product(*map(range, column.shape[1:])):
            yield "_".join([name, *map(str, at)]), column[(..., *at)]


def _write_csv(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    with aside(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(zip(*(map(_text, column) for column in columns.values()), strict=True))


def _text(value: object) -> str:
    """The shortest digits that are read back to the same bits; nothing for NaN."""
    return "" if value != value else str(value)


def _write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    pyarrow = _pyarrow(path)
    import numpy as np  # not before it is needed: a command is refused without it

    table = pyarrow.table({name: np.ascontiguousarray(column) for name, column in columns.items()})
    with aside(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def _pyarrow(path: Path) -> Any:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        what = f"{path}: a .parquet is written by pyarrow"
        raise PyrovaeError(f"{what}: python -m pip install 'pyarrow>=15.0', or end the name in .csv") from None
