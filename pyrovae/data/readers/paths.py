"""A path -> what the reader of its kind makes of it."""

from pathlib import Path
from typing import Any

from pyrovae.data.containers import unpacked
from pyrovae.data.dataset import Split
from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Found, Raw, Sentences
from pyrovae.data.readers import amat
from pyrovae.data.readers.bytes import read_lines, require_file
from pyrovae.data.readers.folder import read_images
from pyrovae.data.readers.npy import NpyFile, read_array
from pyrovae.data.stored import Stored, streams
from pyrovae.data.synonyms import SPLIT_OF
from pyrovae.errors import PyrovaeError, UsageError


def read(path: Path, config: DataConfig) -> Found:
    """What a file or folder holds; the catalogue has seen that it is there, and its ending."""
    if path.is_dir():
        if path.resolve() == Path(path.resolve().anchor):
            raise UsageError(f"data {path} is the root of all files: give the folder that holds the data")
        if held := amat.binarized(path) or _text(path):
            config.refuse_stream(str(path))
            return held
        return read_images(path, config)
    require_file(path)
    if path.suffix == ".npy" and (config.stream or _is_large(path, config)):
        return Raw(columns={"train": {"x": Stored(NpyFile(path, config.layout or "image"))}})
    config.refuse_stream(str(path))
    if path.name == amat.PACKED:
        return amat.unpack(path)
    if path.suffix in (".npy", ".npz"):
        return unpacked(read_array(path), str(path))
    if path.name.endswith((".amat", ".amat.gz")):
        return Raw(columns={"train": amat.read_amat(path)})
    return Sentences({"train": read_lines(path)})  # of the endings that the catalogue lets through


def _is_large(path: Path, config: DataConfig) -> bool:
    """Whether an array stays on the disk of itself; its file is little larger than it, and known without reading."""
    return config.image_size is None and streams(config, path.stat().st_size)


def _text(folder: Path) -> Sentences | None:
    """`train.txt`, `anything.train.txt.gz` and so on; None if there is no train among them."""
    found: dict[Split, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".gz")
        split: Any = SPLIT_OF.get(name.removesuffix(".txt").rpartition(".")[2])
        if not name.endswith(".txt") or split is None or not path.is_file():
            continue
        if split in found:
            raise PyrovaeError(f"{folder} holds {found[split].name} and {path.name}, two {split} splits: take one away")
        found[split] = path
    return Sentences({split: read_lines(path) for split, path in found.items()}) if "train" in found else None
