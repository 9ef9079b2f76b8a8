"""What run.json keeps of a data set, with a fingerprint by which the same data are known again."""

from __future__ import annotations

import hashlib
from typing import Any

from pyrovae.data.dataset import SPLITS, Columns, Split
from pyrovae.data.options import DataConfig

Splits = dict[Split, Columns]


def describe(name: str, splits: Splits, config: DataConfig) -> dict[str, Any]:
    """What run.json keeps of any data set."""
    return {
        "source": name,
        "counts": {split: len(next(iter(splits[split].values()))) for split in SPLITS},
        "held_out": config.held_out,
        "data_seed": config.data_seed,
        "limit_train": config.limit_train,
        "fingerprint": fingerprint(splits),
    }


def fingerprint(splits: Splits) -> str:
    """sha256 over the stored columns of all splits, with their names, dtypes and shapes."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for name, column in sorted(splits[split].items()):
            digest.update(f"{split} {name} {column.dtype} {tuple(column.shape)}\n".encode())
            digest.update(column.contiguous().numpy().data)
    return digest.hexdigest()
