"""All runs below a folder, from their run.json alone. Needs no torch."""

from __future__ import annotations

import os
from pathlib import Path

from pyrovae.errors import PyrovaeError
from pyrovae.runs import directory
from pyrovae.storage.jsonable import Json, JsonMapping

SCORES = ("epochs", "test_elbo", "log_likelihood", "standard_error", "trusted")

LOOKED = 1_000_000
"""Files and folders that are looked at, at most: not a whole disk."""


def found_in(folder: Path) -> list[Json]:
    """One object a run: `run` (its path), `model`, `guide`, `data`, `status`, `epochs`, and the scores of the test
    split in nats a datum, `test_elbo`, `log_likelihood`, `standard_error`, `trusted`; None where there is none yet.

    The status of one that cannot be read is `damaged`, with the sentence in `error`. A folder below a run is not looked
    at, nor what links lead to.

    Raises:
        PyrovaeError: where there are more than LOOKED files and folders.
    """
    found, looked = [], 0
    for where, folders, files in os.walk(folder):
        looked += len(folders) + len(files)
        if looked > LOOKED:
            raise PyrovaeError(f"{folder} holds over {LOOKED:,} files and folders: give one that holds the runs")
        if directory.RUN in files:
            folders.clear()
            found.append(_of(Path(where)))
        folders.sort()
    return found


def _of(path: Path) -> Json:
    empty = dict.fromkeys(
        ("model", "guide", "data", "epochs", "test_elbo", "log_likelihood", "standard_error", "trusted")
    )
    try:
        content: JsonMapping = directory.content(path)
    except PyrovaeError as error:
        return {"run": str(path), **empty, "status": "damaged", "error": str(error)}
    recipe, results = content["recipe"], content["results"]
    return {
        "run": str(path),
        "model": recipe["model"],
        "guide": recipe["guide"],
        "data": content["data"].get("source"),
        **{name: results.get(name) for name in SCORES},
        "status": content["status"],
        "error": None,
    }
