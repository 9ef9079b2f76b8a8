"""MNIST and its kin, read from their idx files, packed or not, in the folders where torchvision puts them."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Raw
from pyrovae.data.readers.bytes import plain_or_gz, read_bytes
from pyrovae.data.readers.fetch import fetched
from pyrovae.errors import PyrovaeError, UsageError, option

CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
DIGITS = tuple("0123456789")
# EMNIST balanced merges the lower-case letters that look like their capitals.
BALANCED = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")


def mnist(config: DataConfig) -> Raw:
    """LeCun, Cortes & Burges, The MNIST database of handwritten digits, 1998."""
    return _read(config, "mnist", "MNIST", DIGITS)


def fashion(config: DataConfig) -> Raw:
    """Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017."""
    return _read(config, "fashion", "FashionMNIST", CLOTHES)


def kmnist(config: DataConfig) -> Raw:
    """Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018."""
    return _read(config, "kmnist", "KMNIST", KANA)


def emnist(config: DataConfig) -> Raw:
    """Cohen et al., EMNIST: an extension of MNIST to handwritten letters, 2017; its files hold them transposed."""
    raw = _read(config, "emnist", "EMNIST", BALANCED, prefix="emnist-balanced-", test="test", split="balanced")
    upright: dict[Any, Any] = {
        split: {"x": np.ascontiguousarray(c["x"].swapaxes(1, 2)), "y": c["y"]} for split, c in raw.columns.items()
    }
    return Raw(columns=upright, names=raw.names, divisor=255.0, gray=True)


def _read(
    config: DataConfig,
    name: str,
    folder: str,
    names: tuple[str, ...],
    prefix: str = "",
    test: str = "t10k",
    **options: str,
) -> Raw:
    columns: dict[Any, Any] = {}
    for split, stem in (("train", f"{prefix}train"), ("test", f"{prefix}{test}")):
        x, y = (
            read_idx(_find(config, name, folder, f"{stem}-{part}-idx{dims}-ubyte", options), dims)
            for part, dims in (("images", 3), ("labels", 1))
        )
        columns[split] = {"x": x, "y": y}
    return Raw(columns=columns, names=names, divisor=255.0, gray=True)


def _find(config: DataConfig, name: str, folder: str, file: str, options: dict[str, str]) -> Path:
    places = (config.root / folder / "raw", config.root / folder)
    for place in places:
        if found := plain_or_gz(place, file):
            return found
    if not config.download:
        raise UsageError(
            f"data '{name}' needs {file}.gz in {places[0]}: "
            f"give {option('download', True)}, or the folder that has {folder}/ with {option('data_root')}"
        )
    download(folder, config.root, options)
    if found := plain_or_gz(places[0], file):
        return found
    raise PyrovaeError(f"data '{name}' was downloaded, yet {places[0]} lacks {file}: remove it and try again")


def download(folder: str, root: Path, options: dict[str, str]) -> None:
    """Has torchvision's class `folder` fetch, check and unpack its files below `root`."""
    from torchvision import datasets

    with fetched(folder, root) as temporary:
        getattr(datasets, folder)(temporary, download=True, **options)


def read_idx(path: Path, dims: int) -> np.ndarray:
    """An idx file of unsigned bytes: two zero bytes, type 8, how many dims, each dim big-endian, the values."""
    data = read_bytes(path)
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise PyrovaeError(f"{path} is no idx file of bytes: fetch it again")
    if data[3] != dims:
        raise PyrovaeError(f"{path} has {data[3]} dims and should have {dims}: fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", dims, 4))
    start = 4 + 4 * len(shape)
    if len(data) - start != math.prod(shape):
        raise PyrovaeError(f"{path} has {len(data) - start} values and announces {math.prod(shape)}: fetch it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
