"""How much memory there is, and data that would take more than that."""

import os

from pyrovae.errors import PyrovaeError


def require_memory(nbytes: int, what: str) -> None:
    """Raises PyrovaeError where data of so many bytes would not fit into the memory that is free.

    Asked before they are read: a few bytes of a header announce any size, and a packed file unpacks to a thousand
    times its own.
    """
    free = free_memory()
    if free is not None and nbytes > free:
        raise PyrovaeError(
            f"{what} takes {nbytes / 2**30:,.2f} GiB and {free / 2**30:,.2f} GiB of memory are free: "
            f"give less data, or mend the file if that is wrong"
        )


def free_memory() -> int | None:
    """Bytes of memory that are there to be used; None where the system does not say."""
    try:
        # What files were read into counts as free: else the data of one fit would be streamed in the next.
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
