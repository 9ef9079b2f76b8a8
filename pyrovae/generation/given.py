"""What may be given to a pair that generates."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.field import Field
from pyrovae.errors import UsageError

GivenValue = float | Sequence[float] | Sequence[Sequence[float]] | np.ndarray | Tensor
"""What a condition or a latent site is given: a number, a vector, or one of these for each datum."""


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
                raise UsageError(
                    f"{name} = {wrong[0]:g} is no class: give a whole number from 0 to {field.size - 1}, or -1 for none"
                )


def require_classes(name: str, value: GivenValue, classes: int) -> None:
    """Raises UsageError where a value of a latent class is none."""
    for number in torch.as_tensor(value, dtype=torch.float64).flatten().tolist():
        if number not in range(classes):
            raise UsageError(f"{name} = {number:g} is no class: give a whole number from 0 to {classes - 1}")
