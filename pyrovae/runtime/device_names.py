"""How a device is named; imports no torch, which knows whether there is one."""

import re

from pyrovae.errors import UsageError

NAMES = re.compile(r"auto|cpu|(cuda|mps)(:\d+)?")


def require_device_name(name: str) -> None:
    """Raises UsageError for what is no name of a device."""
    if not NAMES.fullmatch(name):
        raise UsageError(f"there is no device '{name}': take auto, cpu, cuda, cuda:1 or mps")
