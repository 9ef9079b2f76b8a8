"""The two texts of a run, metrics.jsonl and vocabulary.json, checked before they are used; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pyrovae.errors import PyrovaeError
from pyrovae.storage.jsonable import finite, strict
from pyrovae.storage.reading import foreign

METRICS, LINE = 2**28, 2**16
"""Bytes of metrics.jsonl and of one of its lines, at most."""

NUMBERS = (int, float, type(None))

VOCABULARY = 2**28
"""Bytes of vocabulary.json, at most."""

PARTS = {
    "model": {"WordLevel", "BPE"},
    "normalizer": {"NFC"},
    "pre_tokenizer": {"Split", "ByteLevel"},
    "decoder": {"ByteLevel", "Fuse"},
}
"""What a vocabulary is made of."""


Metrics = dict[str, float]
"""What an epoch has given, by name; counts are whole numbers."""


def metrics_of(data: bytes | bytearray, what: str) -> list[dict[str, float | None]]:
    """The objects of a metrics.jsonl, one a line, of numbers and null.

    Raises:
        PyrovaeError: where they are none; it names the line.
    """
    found: list[dict[str, Any]] = []
    for number, line in enumerate(bytes(data).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            if len(line) > LINE:
                raise ValueError(f"it has {len(line):,} bytes, and {LINE:,} is the most")
            each = strict(line, LINE)
            if not isinstance(each, dict) or not all(type(value) in NUMBERS for value in each.values()):
                raise ValueError("it is no object of numbers")
        except ValueError as error:
            why = (number == 1 and foreign(data)) or error
            raise PyrovaeError(f"{what} is damaged (line {number}: {why})") from None
        found.append(each)
    return found


def to_lines(metrics: Iterable[Mapping[str, float | None]]) -> str:
    """The inverse of `metrics_of`; a number that is not finite becomes null."""
    return "".join(json.dumps(finite(dict(each))) + "\n" for each in metrics)


def words_of(data: bytes | bytearray, what: str) -> int:
    """How many words a vocabulary.json has.

    Raises:
        PyrovaeError: where it is none that `pyrovae.data.vocabulary.Vocabulary` writes.
    """
    try:
        content = strict(data)
        if not isinstance(content, dict):
            raise ValueError("it is no object")
        for part, known in PARTS.items():
            value = content.get(part)
            kind = value.get("type") if isinstance(value, dict) else value
            if kind not in known and (part == "model" or value is not None):
                raise ValueError(f"its {part} is {kind!r:.80}, and not {' or '.join(sorted(known))}")
        for part in ("post_processor", "truncation", "padding"):
            if content.get(part) is not None:
                raise ValueError(f"it has a {part}")
        words = content["model"].get("vocab")
        if not isinstance(words, dict) or not all(type(i) is int for i in words.values()):
            raise ValueError("its words are not texts with numbers")
        if sorted(words.values()) != list(range(len(words))):
            raise ValueError(f"its {len(words)} words do not have the numbers from 0 to {len(words) - 1}")
    except (ValueError, TypeError) as error:
        raise PyrovaeError(f"{what} cannot be read ({foreign(data) or error}): the file is damaged") from None
    return len(words)
