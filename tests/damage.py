"""What may happen to a run directory, by accident or on purpose."""

import hashlib
import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyrovae.runs import directory, schema


def edited(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes run.json, and its checksum with it: as someone who means harm would."""
    path = folder / "run.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(schema.sealed(content)))


def replaced(folder: Path, role: str, data: bytes) -> None:
    """Replaces a file of a run, and its size and checksum in run.json with it."""
    path = folder / directory.PATHS[role]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    entry = {"path": directory.PATHS[role], "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edited(folder, lambda content: content["files"].update({role: entry}))


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def evil(kind: str, marker: Path) -> bytes:
    """Bytes that make `marker` where something unpickles them."""
    buffer = io.BytesIO()
    match kind:
        case "torch.save":
            torch.save({"weight": Evil(marker)}, buffer)
        case "old torch.save":
            torch.save({"weight": Evil(marker)}, buffer, _use_new_zipfile_serialization=False)
        case "npy":
            np.save(buffer, np.array([Evil(marker)], object), allow_pickle=True)
        case "npz":
            np.savez(buffer, x=np.array([Evil(marker)], object))
        case _:
            buffer.write(pickle.dumps(Evil(marker), protocol=int(kind.removeprefix("pickle "))))
    return buffer.getvalue()


EVIL = (*(f"pickle {protocol}" for protocol in range(6)), "torch.save", "old torch.save", "npy", "npz")
