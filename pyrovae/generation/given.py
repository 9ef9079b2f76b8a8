"""What may be given to a pair that generates."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.field import Field
from pyrovae.errors import UsageError, did_you_mean

GivenValue = float | str | Sequence[float] | Sequence[Sequence[float]] | np.ndarray | Tensor
"""What a condition or a latent site is given: a number, a vector, or one of these for each datum; or the name of a
class."""


MOST_LISTED = 10
"""Names of classes in a sentence."""


def by_number(fields: Mapping[str, Field], given: Mapping[str, GivenValue]) -> dict[str, GivenValue]:
    """The same with the number of each class that is given by its name; raises UsageError for a name that is none."""
    return {name: _number(name, value, fields.get(name)) for name, value in given.items()}


def _number(name: str, value: GivenValue, field: Field | None) -> GivenValue:
    if not isinstance(value, str):
        return value
    names = None if field is None else field.names
    if names is None:
        raise UsageError(f"{name} = {value}: give a number, or a vector")
    if value not in names:
        raise UsageError(f"{name} = {value} is no class of this run{did_you_mean(value, names)}")
    return names.index(value)


def listed(names: Sequence[str]) -> str:
    """The first of them, for a sentence."""
    some = ", ".join(names[:MOST_LISTED])
    return some + (", ..." if len(names) > MOST_LISTED else "")


def require_allowed(fields: Mapping[str, Field], given: Mapping[str, GivenValue]) -> None:
    """Raises UsageError where a value of `given` is not finite, is no class of a label, or is part of an image."""
    for name, value in given.items():
        numbers = torch.as_tensor(value, dtype=torch.float64).flatten().tolist()
        wrong = [number for number in numbers if not math.isfinite(number)]
        field = fields.get(name)
        if wrong:
            raise UsageError(f"{name} = {wrong[0]}: give a finite number")
        if field is not None and field.kind == "partial":
            raise UsageError(f"{name} is the given part of the test images: no value can be given for it")
        if field is not None and field.kind == "category" and field.size is not None:
            wrong = [number for number in numbers if number not in range(-1, field.size)]
            if wrong:
                called = "" if field.names is None else f" ({listed(field.names)})"
                raise UsageError(
                    f"{name} = {wrong[0]:g} is no class{called}: give a whole number from 0 to {field.size - 1}, or -1 "
                    f"for none"
                )


def require_classes(name: str, value: GivenValue, classes: int) -> None:
    """Raises UsageError where a value of a latent class is none."""
    for number in torch.as_tensor(value, dtype=torch.float64).flatten().tolist():
        if number not in range(classes):
            raise UsageError(f"{name} = {number:g} is no class: give a whole number from 0 to {classes - 1}")
