"""One array in numpy's own format: what its header says is judged before a byte of memory is taken for it."""

from __future__ import annotations

import math
import warnings
from typing import IO, Any, NamedTuple

import numpy as np

from pyrovae.data.limits import require_memory
from pyrovae.errors import PyrovaeError, brief


class Header(NamedTuple):
    """What stands before the numbers, and where they begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Any
    start: int


def read_header(file: IO[bytes], size: int, what: str) -> Header:
    """The header of an array of numbers or strings that fills `file`, of `size` bytes.

    Raises:
        PyrovaeError: where it is none, holds anything but numbers, or announces more or less than there is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, of files of Python 2 and of old names of types
            version = np.lib.format.read_magic(file)
            one = version == (1, 0)
            read: Any = np.lib.format.read_array_header_1_0 if one else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
    except Exception as error:  # the header is an expression of Python: numpy lets through what its parsers raise
        raise PyrovaeError(f"{what} is no array file of numpy, or damaged ({brief(error)}): save it again") from None
    if dtype.hasobject:
        raise PyrovaeError(f"{what} holds Python objects, which are never loaded: save arrays of numbers")
    if dtype.kind not in "biufcUS" or not dtype.itemsize:  # strings of no width: any number of them fits no bytes
        raise PyrovaeError(f"{what} is {dtype}, no numbers: save whole numbers or floats")
    if min(shape, default=0) < 0:
        raise PyrovaeError(f"{what} announces shape {brief(shape)}: the file is damaged, save it again")
    held, announced = size - file.tell(), math.prod(shape) * dtype.itemsize
    if held != announced:
        raise PyrovaeError(
            f"{what} is damaged: it announces {brief(shape)} of {dtype}, {announced:,} bytes, and holds {held:,}: "
            f"save it again"
        )
    return Header(shape, dtype, "F" if fortran else "C", file.tell())


def read_numbers(file: IO[bytes], size: int, what: str) -> np.ndarray:
    """The array of numbers that fills `file`, of `size` bytes; raises PyrovaeError as `read_header`."""
    header = read_header(file, size, what)
    require_memory(size, what)
    content = file.read(size - header.start)
    try:
        # Not np.frombuffer: it refuses what has no bytes.
        return np.ndarray(header.shape, header.dtype, content, order=header.order).copy()
    except (ValueError, TypeError) as error:  # more dims than numpy has, or fewer bytes than were announced
        raise PyrovaeError(f"{what} is damaged ({brief(error)}): save it again") from None
