"""What run.json keeps of a data set, with a fingerprint by which the same data are known again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pyrovae.data.dataset import SPLITS, Split
from pyrovae.data.options import DataConfig
from pyrovae.data.stored import Column, Stored, pieces
from pyrovae.storage.jsonable import Json

Splits = dict[Split, dict[str, Column]]
AnySplits = Mapping[Split, Mapping[str, Column]]


def describe(name: str, splits: AnySplits, config: DataConfig) -> Json:
    """What run.json keeps of any data set; of a streamed one that it was, and what its fingerprint is of."""
    on_disk = [column for column in splits.get("train", {}).values() if isinstance(column, Stored)]
    streamed: dict[str, Any] = {"streamed": True} if on_disk else {}
    if any(column.costly for column in on_disk):
        streamed["fingerprint_of"] = "names and sizes of the training files, values of the rest"
    return {
        "source": name,
        "counts": {split: len(next(iter(splits[split].values()))) for split in SPLITS if split in splits},
        "held_out": config.held_out,
        "data_seed": config.data_seed,
        "limit_train": config.limit_train,
        "fingerprint": fingerprint(splits),
        **streamed,
    }


def fingerprint(splits: AnySplits) -> str:
    """sha256 over the stored columns of all splits, with their names, dtypes and shapes; the same from the disk.

    Only files that must be decoded are represented by their names and sizes.
    """
    digest = hashlib.sha256()
    for split in [split for split in SPLITS if split in splits]:
        for name, column in sorted(splits[split].items()):
            digest.update(f"{split} {name} {column.dtype} {tuple(column.shape)}\n".encode())
            if isinstance(column, Stored) and column.costly:
                for stamp in column.stamps():
                    digest.update(stamp)
                continue
            for piece in pieces(column):
                digest.update(piece.contiguous().numpy().data)
    return digest.hexdigest()
