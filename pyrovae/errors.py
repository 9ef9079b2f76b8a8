"""Errors a user can mend: one sentence that names the thing, both values and the cure."""

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from operator import index
from typing import SupportsIndex

from pyrovae.aliases import meant


class PyrovaeError(Exception):
    """Something in the input, the data or the machine stands in the way; the command line exits with 1."""

    exit_code = 1


class UsageError(PyrovaeError, ValueError):
    """A name, an option or a value that does not exist or does not fit; the command line exits with 2."""

    exit_code = 2


MOST = 10**9
"""Of data, samples and steps: more would not end within a year."""

_DASHED: ContextVar[bool] = ContextVar("dashed", default=False)


@contextmanager
def dashed() -> Iterator[None]:
    """Within it `option` writes options as they are typed in a shell: the door of the command line opens it."""
    token = _DASHED.set(True)
    try:
        yield
    finally:
        _DASHED.reset(token)


def in_shell() -> bool:
    """Whether whoever reads the message is at the command line."""
    return _DASHED.get()


def option(name: str, value: object = None, python: str | None = None, command: str | None = None) -> str:
    """An option in the words of whoever reads the message: of Python, or within `dashed` of the command line.

    option("kl_warmup")             # kl_warmup           --kl-warmup
    option("kl_warmup", 10.0)       # kl_warmup=10        --kl-warmup 10
    option("objective", "elbo")     # objective='elbo'    --objective elbo
    option("compile", False)        # compile=False       --no-compile
    option("wider", command="loglik")  # wider            `loglik --wider`

    Args:
        name: as it is written in Python.
        value: the one that is meant; None names the option alone.
        python: what is said in Python instead, where that is no argument of this name.
        command: the one that has the option, where commands without it print the message, too.
    """
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if not _DASHED.get():
        told = text if isinstance(value, int | float) else repr(text)
        return python or (name if value is None else f"{name}={told}")
    flag = f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
    typed = flag if value is None or isinstance(value, bool) else f"{flag} {text}"
    return typed if command is None else f"`{command} {typed}`"


def require_whole(least: int = 1, most: int = MOST, /, **values: object) -> None:
    """Raises UsageError for the first of `values` that is no whole number from `least` to `most`; None is no value.

    The command line has its own bounds; in Python -1 rows would be all but one, and True one.
    """
    for name, value in values.items():
        whole = isinstance(value, SupportsIndex) and not isinstance(value, bool) and least <= index(value) <= most
        if value is not None and not whole:
            raise UsageError(
                f"{name} = {brief(repr(value))}: give a whole number of at least {least}, at most {most:,}"
            )


def brief(value: object) -> str:
    """What other libraries say, or what a file holds, on one line of bearable length."""
    text = " ".join(str(value).split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def first_line(error: BaseException) -> str:
    """What an error says first, of bearable length."""
    return brief(str(error).strip().partition("\n")[0])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`": did you mean 'x'?"` where one of `known` stands for `name` or is close to it, else the list of what there
    is."""
    known = sorted(known)
    close = likely(name, known)
    told = " or ".join(f"'{each}'" for each in close)
    return f": did you mean {told}?" if close else f" (there is: {', '.join(known) or 'nothing'})"


def likely(name: str, known: Iterable[str]) -> list[str]:
    """Those of `known` that are meant by `name`: by a synonym, or the one that is written nearly so."""
    known = sorted(known)
    if found := meant(name, known) or difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return found
    lower = {each.lower(): each for each in reversed(known)}
    return [lower[each] for each in difflib.get_close_matches(name.lower(), sorted(lower), n=1, cutoff=0.6)]


REASONS = {
    errno.ENOSPC: "the disk is full: free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up: free some space or write elsewhere",
    errno.EROFS: "the file system is read-only: write elsewhere",
    errno.EACCES: "permission denied: use another place, or change its permissions",
    errno.EPERM: "permission denied: use another place, or change its permissions",
}
"""What the system says of a failed write or read, in words that name the cure."""


def system(error: OSError) -> str:
    """What the system says, with the name of the file."""
    reason = REASONS.get(error.errno or 0) or " ".join((error.strerror or str(error) or type(error).__name__).split())
    return f"{error.filename}: {reason}" if error.filename else reason


NO_MEMORY = ("DefaultCPUAllocator", "STATUS_ALLOC_FAILED", "out of memory", "bad_alloc")
"""What a RuntimeError of torch says where there is no memory: on a CPU, and of the libraries behind CUDA and MPS."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python or torch had no memory; without an import of torch, whose own class has a name."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY))
    )
