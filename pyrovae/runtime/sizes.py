"""Sizes of memory as they are written; imports no torch."""

import re

from pyrovae.errors import UsageError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


def bytes_in(size: str | int) -> int:
    """Bytes of `8GB`, `500 MB`, `2GiB` or a number; raises UsageError for what is no size."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]I?|)B?", str(size).strip().upper())
    if found is None or not (taken := int(float(found[1]) * UNITS[found[2]])):
        raise UsageError(f"'{size}' is no size of memory: give a number with a unit, such as 500MB, 8GB or 2GiB")
    return taken
