"""Files that someone else may have put there are read with care.

They are read where they are regular, lie in their folder, and are no larger than is said."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pyrovae.errors import PyrovaeError, system

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

MAGIC = (
    (b"PK\x03\x04", "a zip archive, as torch.save and np.savez write them"),
    (b"\x93NUMPY", "a .npy file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89HDF", "an HDF5 file"),
)

PIECE = 2**24
"""Bytes that are read at a time where a file is not kept."""


@contextlib.contextmanager
def regular(path: Path, folder: Path) -> Iterator[tuple[BinaryIO, int]]:
    """An open file and its size. Never waits for a pipe, and opens no device.

    Raises:
        FileNotFoundError: where there is none.
        PyrovaeError: where it is no file, leads out of `folder`, or cannot be opened.
    """
    try:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
            raise PyrovaeError(f"{path} is a link out of the folder: put the file itself there")
        _require_regular(path, os.stat(path).st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags)
    except NotADirectoryError as error:
        raise FileNotFoundError(str(error)) from None
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        told = system(error) if isinstance(error, OSError) else f"{path}: {error}"
        raise PyrovaeError(f"{told}: it cannot be read") from None
    with open(descriptor, "rb", buffering=0) as file:
        found = os.fstat(descriptor)
        _require_regular(path, found.st_mode)  # it may have been replaced meanwhile
        yield file, found.st_size


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in KINDS if test(mode)), "something else")
        raise PyrovaeError(f"there is no file {path}: it is {kind}")


def first(file: BinaryIO, size: int, path: Path) -> bytearray:
    """The next `size` bytes of a file, fewer where it ends, in memory that may be written to."""
    try:
        buffer = bytearray(size)
    except (MemoryError, OverflowError):
        raise PyrovaeError(f"{path} has {size:,} bytes: there is not enough memory to read it") from None
    view, filled = memoryview(buffer), 0
    try:
        while filled < size and (count := file.readinto(view[filled:])):  # type: ignore[attr-defined]
            filled += count
    except OSError as error:
        raise PyrovaeError(f"{path}: {system(error)}: it cannot be read") from None
    view.release()
    del buffer[filled:]
    return buffer


def foreign(data: bytes | bytearray) -> str:
    """`it is a pickle, ...` where the bytes begin as a known format does that is never opened; else nothing."""
    if data[:1] == b"\x80" and len(data) > 2 and data[1] in range(1, 6) and data[2] > 0:
        return "it is a pickle, which can run any code and is never opened"
    kind = next((name for magic, name in MAGIC if data.startswith(magic)), "")
    return f"it is {kind}, and is never opened" if kind else ""
