"""Nested tuples, lists and dicts of tensors: taken apart, and put together again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from torch import Tensor

Nested: TypeAlias = "Tensor | Sequence[Nested] | dict[str, Tensor]"
"""Tensors in tuples, lists and dicts."""


def flat(values: Iterable[Nested]) -> list[Tensor]:
    """The tensors in nested tuples, lists and dicts, in their order (torch's own pytrees take 0.1 ms for a step)."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        else:
            found += flat(value.values() if isinstance(value, dict) else value)
    return found


def rebuilder(example: Nested) -> Callable[[Iterator[Tensor]], Any]:
    """From the tensors that `flat` gives back to the nested tuples, lists and dicts of an example."""
    if isinstance(example, Tensor):
        return next
    parts = [rebuilder(part) for part in (example.values() if isinstance(example, dict) else example)]
    if isinstance(example, dict):
        keys = list(example)
        return lambda tensors: dict(zip(keys, [part(tensors) for part in parts], strict=True))
    kind: Any = type(example)  # and not the example, whose tensors would stay
    if hasattr(kind, "_fields"):
        return lambda tensors: kind(*[part(tensors) for part in parts])
    return lambda tensors: kind([part(tensors) for part in parts])
