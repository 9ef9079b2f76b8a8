"""What JSON can say, and how much of it is read from a file that someone else may have written."""

import json
import math
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
"""An object of JSON; what lies below a key is known to whoever reads it."""

JsonMapping = Mapping[str, Any]
"""An object of JSON that is only read."""

DEPTH = 32
"""Objects and lists inside each other, at most."""


def finite(value: object) -> Any:
    """The same JSON value with None for numbers that are not finite, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def strict(data: bytes | bytearray | str, longest: int | None = None) -> Any:
    """The JSON value that UTF-8 holds, where it is plain: no number that is not finite, no key twice, nothing nested
    deeper than DEPTH.

    Args:
        data: the text.
        longest: characters of a string, at most.

    Raises:
        ValueError: where it is none, and why.
    """
    try:
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _require_plain(value, longest, 0)
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _require_plain(value: object, longest: int | None, depth: int) -> None:
    if depth > DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_plain(key, longest, depth)
            _require_plain(item, longest, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item, longest, depth + 1)
    elif isinstance(value, str):
        if longest is not None and len(value) > longest:
            raise ValueError(f"a text has {len(value):,} characters, and {longest:,} is the most")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")
