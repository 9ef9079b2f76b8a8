""".amat files (one datum a line, as text), and the MNIST that Larochelle & Murray binarized once and for all."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pyrovae.data.dataset import SPLITS
from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Raw
from pyrovae.data.readers.bytes import plain_or_gz, read_bytes
from pyrovae.data.readers.fetch import fetched
from pyrovae.data.readers.npy import read_npz
from pyrovae.errors import PyrovaeError, UsageError, brief, option

PACKED = "binarized_mnist_packed.npz"
URL = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
MD5 = {
    "train": "db28b1a6ae0fe70cbd3da91acf46e477",
    "valid": "bf37822a04e94123630de6a7dfd9c9ef",
    "test": "14e41ae11040adba6ab8cb291eda0dd8",
}


def static_mnist(config: DataConfig) -> Raw:
    """Larochelle & Murray, The Neural Autoregressive Distribution Estimator, 2011: bits, no labels, three splits."""
    places = (config.root / "binarized_mnist", config.root)
    for place in places:
        if raw := binarized(place):
            return raw
    if not config.download:
        raise UsageError(
            f"data 'static-mnist' needs {PACKED} or binarized_mnist_{{train,valid,test}}.amat in {places[0]}: "
            f"give {option('download', True)}, or the folder that has binarized_mnist/ with {option('data_root')}"
        )
    from torchvision.datasets.utils import download_url

    with fetched("data 'static-mnist'", places[0]) as temporary:
        for split in SPLITS:
            download_url(f"{URL}binarized_mnist_{split}.amat", temporary, md5=MD5[split])
    raw = binarized(places[0])
    assert raw is not None
    return raw


def binarized(folder: Path) -> Raw | None:
    """What `folder` holds of the static MNIST: the packed file, else the three .amat files, else None."""
    if (folder / PACKED).is_file():
        return unpack(folder / PACKED)
    found = {split: plain_or_gz(folder, f"binarized_mnist_{split}.amat") for split in SPLITS}
    if not any(found.values()):
        return None
    if missing := [split for split, path in found.items() if path is None]:
        raise PyrovaeError(f"{folder} lacks binarized_mnist_{missing[0]}.amat: the static MNIST has three files")
    columns: dict[Any, Any] = {split: read_amat(path) for split, path in found.items() if path is not None}
    return Raw(columns=columns, divisor=1.0)


def unpack(path: Path) -> Raw:
    """The packed file: train, valid and test, uint8 `(N, 98)`, eight pixels a byte (numpy.packbits)."""
    packed = read_npz(path)
    columns: dict[Any, Any] = {}
    for split in SPLITS:
        rows = packed.get(split)
        if rows is None or rows.dtype != np.uint8 or rows.shape[1:] != (98,):
            raise PyrovaeError(f"{path} is not the packed MNIST: '{split}' must be uint8 of shape (N, 98)")
        columns[split] = {"x": np.unpackbits(rows, axis=1).reshape(-1, 1, 28, 28)}
    return Raw(columns=columns, divisor=1.0)


def read_amat(path: Path) -> dict[str, np.ndarray]:
    """Rows of numbers: 784 of them are a 28x28 image, a 785th is its label; other widths are vectors."""
    text = read_bytes(path)
    rows = _bits(text)
    if rows is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there is nothing in it, which is told below
                rows = np.loadtxt(io.BytesIO(text), dtype=np.float32, ndmin=2)
        except ValueError as error:
            raise PyrovaeError(f"{path} is no table of numbers: {brief(error)}") from None
    if not rows.size:
        raise PyrovaeError(f"{path} holds no numbers: give one datum a line")
    columns = {}
    if rows.shape[1] == 785:
        rows, columns["y"] = rows[:, :784], rows[:, 784]
    return {"x": rows.reshape(-1, 1, 28, 28) if rows.shape[1] == 784 else rows, **columns}


def _bits(text: bytes) -> np.ndarray | None:
    """The rows of a file of single 0 and 1, at a hundredth of the time of loadtxt; None if it holds anything else."""
    signs = np.frombuffer(text, np.uint8)
    bit = (signs & 0xFE) == ord("0")  # "0" is 48, "1" is 49
    blank = (signs == 32) | (signs == 9) | (signs == 10) | (signs == 13)
    if not len(signs) or not (bit | blank).all() or (bit[1:] & bit[:-1]).any():
        return None
    before = np.concatenate([[0], np.cumsum(bit)[np.flatnonzero(signs == 10)], [bit.sum()]])
    widths = np.diff(before)
    widths = widths[widths > 0]  # blank lines
    if not len(widths) or (widths != widths[0]).any():
        return None
    digits: np.ndarray = (signs[bit] - ord("0")).reshape(-1, widths[0])
    return digits
