"""What a safetensors file says of its tensors, checked before one is made; needs no torch.

Eight bytes, little endian, are the length of the header; the header is JSON, name -> dtype, shape and the place of the
values; the values follow without gaps (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeGuard

from pyrovae.storage.jsonable import strict

HEADER = 2**24 - 8
"""Bytes of a header, at most."""

NAME, DIMS = 1000, 16
"""Characters of a name and dims of a shape, at most."""

SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "BOOL": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
}
"""Bytes of a value, by dtype."""


class Place(NamedTuple):
    """A tensor: its dtype, its shape, and the bytes of the file that are its values."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def numel(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


def header_size(head: bytes | bytearray | memoryview, size: int) -> int:
    """The bytes of a file before its values, from its first eight; `size` is that of the file.

    Raises:
        ValueError: where there cannot be so many.
    """
    if len(head) < 8:
        raise ValueError(f"it has {size} bytes, and a header alone has more")
    length = int.from_bytes(head[:8], "little")
    if length > HEADER:
        raise ValueError(f"its header would have {length:,} bytes, and {HEADER:,} is the most")
    if length < 2 or 8 + length > size:
        raise ValueError(f"its header would have {length:,} bytes, and the file has {size:,}")
    return 8 + length


def places(head: bytes | bytearray | memoryview, size: int) -> dict[str, Place]:
    """Where the tensors are, in their order in the file.

    Args:
        head: the file, or at least its header.
        size: bytes of the file.

    Raises:
        ValueError: where the header is none, or does not fit the file; it names the tensor.
    """
    begin = header_size(head, size)
    header = strict(bytes(head[8:begin]), NAME)
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no texts")
    found = sorted(((name, _place(name, value, begin)) for name, value in header.items()), key=lambda one: one[1][2:])
    end = begin
    for name, place in found:
        if place.start != end:
            raise ValueError(f"tensor '{name}' begins at byte {place.start:,} and not at {end:,}")
        end = place.end
    if end != size:
        raise ValueError(f"its tensors end at byte {end:,}, and the file has {size:,}")
    return dict(found)


def _place(name: str, value: object, begin: int) -> Place:
    if not name.isprintable():
        raise ValueError(f"the name {name!r} holds control characters")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor '{name}' has not dtype, shape and data_offsets alone")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise ValueError(f"tensor '{name}' has dtype {dtype!r}, which is none of {', '.join(SIZES)}")
    if not _counts(shape) or len(shape) > DIMS:
        raise ValueError(f"tensor '{name}' has shape {str(shape)[:80]}")
    if not _counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"tensor '{name}' has data_offsets {str(offsets)[:80]}")
    needs = math.prod(shape) * SIZES[dtype]
    if offsets[1] - offsets[0] != needs:
        raise ValueError(
            f"tensor '{name}' of {dtype} and shape {tuple(shape)} needs {needs:,} bytes and has "
            f"{offsets[1] - offsets[0]:,}"
        )
    return Place(dtype, tuple(shape), begin + offsets[0], begin + offsets[1])


def _counts(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
