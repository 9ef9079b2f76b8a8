"""Names and paths of data, and the one way in: load(spec, config) makes a Dataset. Importing this imports no torch."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrovae.data.options import DataConfig, Source
from pyrovae.errors import PyrovaeError, UsageError, did_you_mean, is_out_of_memory
from pyrovae.runtime.installed import installed

if TYPE_CHECKING:
    from pyrovae.data.dataset import Dataset
    from pyrovae.data.raw import DataSpec, Found


SOURCES: dict[str, Source] = {
    "digits": Source(
        "pyrovae.data.readers.digits:load", "scikit-learn's 1,797 handwritten digits, 8x8, embedded", "image"
    ),
    "mnist": Source("pyrovae.data.readers.idx:mnist", "MNIST: 70,000 handwritten digits, 28x28", "image"),
    "fashion": Source("pyrovae.data.readers.idx:fashion", "Fashion-MNIST: 70,000 pieces of clothing, 28x28", "image"),
    "kmnist": Source(
        "pyrovae.data.readers.idx:kmnist", "Kuzushiji-MNIST: 70,000 cursive Japanese characters, 28x28", "image"
    ),
    "emnist": Source("pyrovae.data.readers.idx:emnist", "EMNIST balanced: 131,600 digits and letters, 28x28", "image"),
    "static-mnist": Source(
        "pyrovae.data.readers.amat:static_mnist", "MNIST binarized once, 50,000/10,000/10,000", "image"
    ),
    "cifar10": Source(
        "pyrovae.data.readers.colour:cifar10", "CIFAR-10: 60,000 photographs, 10 classes, 3x32x32", "image"
    ),
    "svhn": Source("pyrovae.data.readers.colour:svhn", "Street View house numbers: 99,289 digits, 3x32x32", "image"),
    "celeba": Source(
        "pyrovae.data.readers.colour:celeba", "CelebA: 202,599 faces, cropped to 3x64x64, no labels", "image"
    ),
    "pydoc": Source("pyrovae.data.readers.pydoc:load", "sentences of Python's own documentation, embedded", "text"),
}


STDIN = "-"
"""Where data may be new to a run, standard input."""

TABLES = (".csv", ".tsv", ".parquet", ".xlsx", ".ods", ".feather")
"""Of files of tables, which are not read."""

SUFFIXES = (".npy", ".npz", ".amat", ".txt", ".txt.gz")


def sources() -> dict[str, Source]:
    """SOURCES and what installed packages add under the entry point group `pyrovae.data`; ours win a name."""
    plugins = {
        name: Source(point.value, f"from the package {point.dist.name if point.dist else point.module}", "plugin")
        for name, point in installed("pyrovae.data").items()
    }
    return plugins | SOURCES


def load(spec: DataSpec, config: DataConfig | None = None) -> Dataset:
    """Makes a Dataset.

    Args:
        spec: a name of `sources()`; a path to a folder of images (subfolders are classes, or train/ valid/ test/),
            to a .npy, .npz, .amat, .txt or .txt.gz file, or to a folder of .amat or {train,valid,test}.txt files; a
            tensor, array or list x, a tuple (x, y), a dict from field to one of these, a Dataset of torch, a list of
            strings (text), a dict from split to one of all these; or a Dataset, which is returned as it is. Fields and
            splits go by other names, too (`pyrovae.data.synonyms`), and y may be strings, whose classes are in the
            order of their names. A name wins over a path: write `./digits` for a folder.
        config: options; the defaults if None.

    Raises:
        UsageError: a name or path that does not exist.
        PyrovaeError: data that cannot be read, that take more memory than there is, or that no model could be trained
            on.
    """
    with in_memory(spec):
        return _load(spec, config)


@contextmanager
def in_memory(spec: DataSpec) -> Iterator[None]:
    """Raises PyrovaeError, which names the data, where there is not the memory to read them."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        name = f"data {os.fspath(spec)}" if isinstance(spec, str | os.PathLike) else "these data"
        raise PyrovaeError(f"{name} take more memory than there is: give less data, or free some memory") from error


def _load(spec: DataSpec, config: DataConfig | None) -> Dataset:
    from pyrovae.data.dataset import Dataset
    from pyrovae.data.prepare import prepare

    config = config or DataConfig()
    if isinstance(spec, Dataset) and config.model_fields_set:
        named = ", ".join(sorted(config.model_fields_set))
        raise UsageError(f"{named}: a Dataset is made already: give these options when you make it, to data.load")
    found, name = found_in(spec, config)
    return found if isinstance(found, Dataset) else prepare(found, name, config)


def found_in(spec: DataSpec, config: DataConfig, text: bool | None = None) -> tuple[Dataset | Found, str]:
    """What is there, before it is checked, cut and described, and what it is called; raises as `load`.

    Args:
        spec: see `load`.
        config: options.
        text: whether standard input, which `-` is then, holds sentences and no numbers.
    """
    from pyrovae.data.dataset import Dataset

    if text is not None and isinstance(spec, str) and spec == STDIN:
        from pyrovae.data.readers.stdin import read_stdin

        return read_stdin(config, text), spec
    if isinstance(spec, Dataset):
        return spec, spec.name
    if not isinstance(spec, str | os.PathLike):
        from pyrovae.data.containers import unpacked

        config.refuse_stream("arrays")
        return unpacked(spec, "arrays"), "arrays"
    name = os.fspath(spec)
    if isinstance(spec, str) and name in sources():
        config.refuse_stream(name)
        return _source(name)(config), name
    require_there(spec)
    from pyrovae.data.readers.paths import read

    return read(Path(name), config), name


def require_there(spec: str | os.PathLike[str]) -> None:
    """Raises UsageError for data that are neither a name nor a path, and for a file whose ending says that it is none;
    imports no torch."""
    name = os.fspath(spec)
    if isinstance(spec, str) and name in sources():
        return
    path = Path(name)
    if not name or not _exists(path):
        if isinstance(spec, Path) or {os.sep, os.altsep} & set(name) or name.endswith(SUFFIXES):
            raise UsageError(f"data {name}: there is no such file or folder")
        raise UsageError(f"there is no data set '{name}'{did_you_mean(name, sources())}")
    if path.is_file() and not name.endswith((*SUFFIXES, ".amat.gz")):
        table = "" if path.suffix.lower() not in TABLES else "; save the numbers of a table by numpy.save, as a .npy"
        raise UsageError(
            f"data {path}: a file must be .npy, .npz, .amat, .txt or .txt.gz, and images lie in a folder{table}"
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file can have
        return False


def _source(name: str) -> Callable[[DataConfig], Dataset | Found]:
    module, _, attribute = sources()[name].target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PyrovaeError(f"data '{name}' ({sources()[name].target}) cannot be imported: {error}") from error
    read: Callable[[DataConfig], Dataset | Found] = found
    return read
