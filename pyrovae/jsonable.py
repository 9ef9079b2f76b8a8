"""What JSON can say."""

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """The same JSON value with None for numbers that are not finite, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
