"""What a person should know of data as they were read, in a sentence each; `fit` prints them."""

from __future__ import annotations

import torch

from pyrovae.data.options import DataConfig
from pyrovae.data.pixels import Numbers
from pyrovae.data.stored import Column, summarize
from pyrovae.errors import option


def of_numbers(values: Numbers, given: Column, config: DataConfig, known: bool) -> list[str]:
    """What was taken for pixels by its dtype and shape, and what was not.

    Args:
        values: the field x as it was understood, before it was binarized.
        given: its training data as they were given.
        config: pixels.
        known: whether the source says what its values are.
    """
    if known or config.pixels is not None or values.kind == "binary":
        return []
    if values.divisor != 1:
        taken = f"whole numbers 0 to 255 in images x are taken for pixels and divided by {values.divisor:g}"
        return [f"{taken}; {option('pixels', False)} takes them as they are"]
    if given.dtype == torch.uint8:
        divided = f"{option('pixels', True)} divides them by 255"
        return [f"whole numbers in vectors x are taken as they are; if they are pixels, {divided}"]
    if values.kind == "real" and _look_like_bytes(given):
        return ["x is taken as real numbers: if its 0 to 255 are pixels, save them as uint8"]
    return []


def _look_like_bytes(train: Column) -> bool:
    if train.dim() != 4:
        return False
    found = summarize(train)
    return found.low >= 0 and 1 < found.high <= 255 and found.whole
