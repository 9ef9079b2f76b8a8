"""`python -m tests.flips RUN [FLIPS]`: flips bits of every file of a run, and counts which of them loading finds.

A flip is found where loading ends in a PyrovaeError, and harmless where what is loaded is the same to the last bit: `e`
or `E` in a number of run.json.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pyrovae import PyrovaeError
from pyrovae.runs import directory, loading, tensors
from pyrovae.runs.checkpoint import Checkpoint


class Count(NamedTuple):
    """Flips of one file: tried, found, and harmless."""

    tried: int
    found: int
    harmless: int


def state(folder: Path) -> dict[str, Any]:
    """All that loading and resuming read, compared by value; pictures and config.toml by their bytes."""

    def read(content: dict[str, Any]) -> dict[str, Any]:
        seen: dict[str, Any] = {"run.json": content}
        seen["weights"] = loading.weights_of(folder, content)
        seen["metrics"] = loading.metrics_of(folder, content)
        if "checkpoint" in content["files"]:
            found = Checkpoint.read(folder, content)
            seen["checkpoint"] = found.weights | found.best | found.optimizer | found.generators | {"sums": found.sums}
        for role in content["files"]:
            if role in (*directory.PICTURES, "config"):
                seen[role] = bytes(directory.read(folder, content, role))
        if "vocabulary" in content["files"]:
            seen["vocabulary"] = tensors.vocabulary_of(directory.read(folder, content, "vocabulary"), "words").to_json()
        return seen

    return directory.steady(folder, read)


def same(a: Any, b: Any) -> bool:
    """Equality to the last bit, of tensors too."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(bits(a), bits(b))
    return type(a) is type(b) and a == b and repr(a) == repr(b)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """Its bytes."""
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def places(size: int, some: int, draw: random.Random) -> Iterator[tuple[int, int]]:
    """Bytes and bits to flip: all of a small file; else those of its first and last bytes, and others between them."""
    edge = size if size * 8 <= some else some // 64
    yield from ((at, bit) for at in range(edge) for bit in range(8))
    if edge < size:
        yield from ((at, bit) for at in range(size - edge, size) for bit in range(8))
        for each in sorted(draw.sample(range(edge * 8, (size - edge) * 8), some - 16 * edge)):
            yield divmod(each, 8)


def flip(folder: Path, some: int = 512, seed: int = 0) -> dict[str, Count]:
    """Flips bits of each file of a run, one at a time, in a copy.

    Args:
        folder: the run directory.
        some: flips a file; a small file gets all.
        seed: of the places.

    Returns:
        By file. Raises where loading fails in another way than by a PyrovaeError, or a flip is neither.
    """
    draw, counts = random.Random(seed), {}
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "run"
        shutil.copytree(folder, copy)
        before = state(copy)
        for name in ["run.json", *(entry["path"] for entry in before["run.json"]["files"].values())]:
            path, tried, found = copy / name, 0, 0
            for at, bit in places(path.stat().st_size, some, draw):
                with open(path, "r+b") as file:
                    file.seek(at)
                    (value,) = file.read(1)
                    file.seek(at)
                    file.write(bytes([value ^ 1 << bit]))
                try:
                    assert same(state(copy), before), f"bit {bit} of byte {at} of {name}: another state was read"
                except PyrovaeError:
                    found += 1
                finally:
                    with open(path, "r+b") as file:
                        file.seek(at)
                        file.write(bytes([value]))
                tried += 1
            counts[name] = Count(tried, found, tried - found)
    return counts


if __name__ == "__main__":
    for name, count in flip(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4096).items():
        print(json.dumps({"file": name, **count._asdict()}))
