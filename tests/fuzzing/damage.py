"""Damage to bytes: what a bad disk, a broken download, another program or a malicious sender does to a file."""

import struct
from collections.abc import Callable, Sequence
from random import Random

HUGE = (
    0,
    1,
    -1,
    7,
    127,
    128,
    255,
    256,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32 - 1,
    2**40,
    2**63 - 1,
    -(2**63),
)
COMMON = (
    b"\0",
    b"\xff",
    b"\n",
    b"\r\n",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"nan",
    b"inf",
    b"-1",
    b"1e999",
    b"9" * 30,
    b"\x1a",
)


def damaged(data: bytes, draw: Random, words: Sequence[bytes] = ()) -> bytes:
    """`data` after one to four kinds of damage; `words` are bytes that mean something in such files."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        data = draw.choice(KINDS)(data, draw, (*words, *COMMON))
    return data


def _cut(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _flip(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 3, 30))):
        if changed:
            changed[_place(changed, draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    at, word = _place(data, draw), draw.choice(words)
    return data[:at] + word + data[at + len(word) :]


def _insert(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    at = _place(data, draw)
    return data[:at] + draw.choice(words) + data[at:]


def _number(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    """A whole number of the header becomes another one."""
    at = _place(data, draw)
    form, mask = draw.choice(((">I", 0xFFFFFFFF), ("<I", 0xFFFFFFFF), ("<H", 0xFFFF), ("<Q", 2**64 - 1), ("B", 0xFF)))
    packed = struct.pack(form, draw.choice(HUGE) & mask)
    return data[:at] + packed + data[at + len(packed) :]


def _drop(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    at = _place(data, draw)
    return data[:at] + data[at + draw.choice((1, 2, 8, 100)) :]


def _repeat(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    at = _place(data, draw)
    return data[:at] + data[at : at + 50] * draw.choice((2, 3, 100)) + data[at + 50 :]


def _append(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    return data + draw.choice((draw.randbytes(draw.randrange(1, 100)), draw.choice(words), data))


def _zeros(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    """As a file looks whose blocks never reached the disk."""
    at = _place(data, draw)
    return data[:at] + bytes(len(data) - at)


def _other(data: bytes, draw: Random, words: Sequence[bytes]) -> bytes:
    return draw.choice((b"", b"\n", bytes(100), draw.randbytes(200), b"<!DOCTYPE html>\n<html>404</html>\n"))


Kind = Callable[[bytes, Random, Sequence[bytes]], bytes]
KINDS: tuple[Kind, ...] = (_cut, _flip, _overwrite, _insert, _number) * 2 + (_drop, _repeat, _append, _zeros, _other)


def _place(data: bytes | bytearray, draw: Random) -> int:
    """Half of the time in the first 128 bytes, where headers are."""
    return draw.randrange(max(1, min(len(data), 128) if draw.random() < 0.5 else len(data)))
