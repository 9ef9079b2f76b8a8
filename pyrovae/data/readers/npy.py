""".npy and .npz files; never a pickle."""

from __future__ import annotations

import mmap
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from torch import Tensor

from pyrovae.data.columns import arrange, numbers
from pyrovae.data.limits import require_memory
from pyrovae.data.options import Layout
from pyrovae.data.raw import Tensors
from pyrovae.data.readers.arrays import read_header, read_numbers
from pyrovae.data.readers.bytes import require_file
from pyrovae.data.synonyms import by_split
from pyrovae.errors import PyrovaeError, brief
from pyrovae.runtime import streams


def read_array(path: Path) -> Tensors:
    """The array of a .npy file; of a .npz, fields (`x`) or splits of fields (`train`, `x_train`, `test_labels`)."""
    return by_split(read_npz(path), str(path)) if path.suffix == ".npz" else read_npy(path)  # type: ignore[return-value]


def read_npy(path: Path) -> np.ndarray:
    """The numbers of a .npy file."""
    require_file(path)
    try:
        with open(path, "rb") as file:
            _refuse_npz(file, path)
            return read_numbers(file, path.stat().st_size, str(path))
    except OSError as error:
        raise PyrovaeError(f"{path} cannot be read: {error.strerror}") from None


def _refuse_npz(file: IO[bytes], path: Path) -> None:
    if file.read(2) == b"PK":
        raise PyrovaeError(f"{path} is a .npz file, or another archive: end its name in .npz")
    file.seek(0)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Name -> numbers."""
    require_file(path)
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _refuse_sparse(archive, members, path)
            require_memory(sum(member.file_size for member in members), str(path))
            for member in members:
                name = _name(member, path)
                if name in arrays:
                    raise PyrovaeError(f"{path} holds '{name}' twice: save it again")
                with archive.open(member) as file:
                    arrays[name] = read_numbers(file, member.file_size, f"{path}, '{name}',")
    except (PyrovaeError, MemoryError):
        raise
    except Exception as error:  # of a damaged archive, zipfile and zlib let through all that their parsers raise
        raise PyrovaeError(f"{path} is no .npz file, or damaged ({brief(error)}): save it again") from None
    if not arrays:
        raise PyrovaeError(f"{path} holds no array")
    return arrays


SPARSE = {"format", "shape", "data"}
"""Arrays of a matrix that `scipy.sparse.save_npz` has written, whatever its format."""


def _refuse_sparse(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], path: Path) -> None:
    of = {member.filename.removesuffix(".npy"): member for member in members}
    if not set(of) >= SPARSE:
        return
    with archive.open(of["shape"]) as file:
        shape = " x ".join(map(str, read_numbers(file, of["shape"].file_size, str(path)).flatten()[:4]))
    raise PyrovaeError(
        f"{path} is a sparse matrix of scipy ({brief(shape)}), and sparse data are not read yet: save its values, "
        f"numpy.savez(file, x=matrix.toarray())"
    )


def _name(member: zipfile.ZipInfo, path: Path) -> str:
    """The name of an array in a .npz; raises PyrovaeError for what numpy does not write there."""
    name = member.filename.removesuffix(".npy")
    if name == member.filename or not name or not name.isprintable():
        raise PyrovaeError(f"{path} holds {member.filename!r}, which is no array: save arrays only")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        # Of other methods zipfile unpacks a block at once, whatever its size.
        raise PyrovaeError(f"{path}, '{name}', is packed or locked in a way that numpy does not know: save it again")
    return name


class Stamp(NamedTuple):
    """By what a file is known to be the same, and unchanged."""

    size: int
    mtime_ns: int
    inode: int


class NpyFile:
    """The array of a .npy file, mapped into memory: rows are read when they are asked for.

    See `pyrovae.data.stored.Source`. The file is opened anew in each process, so that its content never goes from one
    to another. A process that reads from the map what lies beyond the end of a file that got shorter is ended (SIGBUS),
    so the size is compared before and after each reading, in a microsecond. A file that is cut within one copy still
    ends the process; then Python says where (`streams.tell_faults`). Without a map (128 rows of 784 numbers by preadv,
    pread, process_vm_readv, or writev to a file in memory) a batch took 2.5 to 10 times as long.
    """

    costly = False

    def __init__(self, path: Path, layout: Layout = "image") -> None:
        self.path, self.layout = path, layout
        self._opened: tuple[mmap.mmap, np.ndarray] | None = None
        self._stamp = self._stamped()
        _, array = self._open()
        if array.ndim == 0:
            raise PyrovaeError(f"{path} has shape {array.shape}: give at least one datum of at least one number")
        one = self.read(np.arange(1))
        self.shape, self.dtype = (len(array), *one.shape[1:]), one.dtype

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}

    def read(self, rows: np.ndarray) -> Tensor:
        """See Source."""
        opened, array = self._open()
        if opened.size() != self._stamp.size:
            raise self._changed()
        values = array[rows]
        if opened.size() != self._stamp.size:  # it was cut meanwhile: what is missing in a page reads as zeros
            raise self._changed()
        what = f"{self.path}, rows {rows.min()} to {rows.max()},"
        return arrange(numbers(values, what), what, self.layout)

    def require_unchanged(self) -> None:
        """See Source."""
        if self._stamped() != self._stamp:
            raise self._changed()

    def stamps(self, rows: np.ndarray) -> Iterator[bytes]:
        """None: the values are looked at."""
        return iter(())

    def _changed(self) -> PyrovaeError:
        return PyrovaeError(
            f"{self.path} has changed since it was opened, and data that are read from disk must stay as they are: "
            f"start again, with a file that nothing writes to"
        )

    def _stamped(self) -> Stamp:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise PyrovaeError(f"{self.path} cannot be read: {error.strerror}") from None
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)

    def _open(self) -> tuple[mmap.mmap, np.ndarray]:
        if self._opened is None:
            require_file(self.path)
            self.require_unchanged()
            streams.tell_faults()
            try:
                with open(self.path, "rb") as file:
                    _refuse_npz(file, self.path)
                    shape, dtype, order, start = read_header(file, self._stamp.size, str(self.path))
                    if 0 in shape:  # nothing can be mapped
                        raise PyrovaeError(
                            f"{self.path} has shape {shape}: give at least one datum of at least one number"
                        )
                    opened = mmap.mmap(file.fileno(), self._stamp.size, access=mmap.ACCESS_READ)
                self._opened = opened, np.ndarray(shape, dtype, opened, start, order=order)
            except (OSError, ValueError, TypeError) as error:  # no file any more, or more dims than numpy has
                raise PyrovaeError(f"{self.path} cannot be read ({brief(error)}): save it again") from None
        return self._opened
