"""Whether a case goes as it must: it loads or is refused in one sentence, in bounded time and memory."""

import os
import resource
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

from pyrovae.data import DataConfig, limits
from pyrovae.errors import PyrovaeError

from .case import MARKER, Case, Target

SECONDS = 10
"""Of the processor for one case, at most; six times as many of the clock, as other programs may run."""

MEMORY = 2**30
"""Bytes of address space that a case may take on top of what the process has."""

FREE = 2**28
"""Bytes that the readers are told are free: they must refuse what is larger before they take it."""


class Fault(AssertionError):  # noqa: N818  it is judged, not an error of the program
    """A case that neither loads nor is refused as it must."""


class Hang(BaseException):
    """No `except Exception` catches it."""


def outcome(target: Target, case: Case) -> Literal["loaded", "refused"]:
    """Tries a case; raises Fault where it goes wrong."""
    before = os.getcwd()
    os.chdir(case.folder)
    try:
        with _bounded(), warnings.catch_warnings():
            warnings.simplefilter("error")
            target.load(case)
    except PyrovaeError as error:
        _judge(str(error), target, case)
        return "refused"
    except Hang:
        raise Fault(f"took more than {SECONDS} s") from None
    except BaseException as error:
        raise Fault(f"{type(error).__name__}: {error}") from error
    finally:
        os.chdir(before)
        if (case.folder / MARKER).exists():
            raise Fault("a pickle was loaded")
    return "loaded"


def _judge(sentence: str, target: Target, case: Case) -> None:
    if "\n" in sentence or len(sentence) > 1000:
        raise Fault(f"not one sentence: {sentence!r}")
    names = {case.name, *(path.name for path in case.folder.rglob("*"))}
    if (
        target.names_files
        and not any(name in sentence for name in names)
        and not any(f"{option}=" in sentence for option in DataConfig.model_fields)
        and not any(word in sentence for word in ("option", "data '"))
    ):
        raise Fault(f"names neither a file nor an option: {sentence}")


def limit_memory(more: int) -> tuple[int, int]:
    """So many bytes of address space on top of what the process has, at most; returns the limits before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))
    return soft, hard


@contextmanager
def _bounded() -> Iterator[None]:
    def hang(number: int, frame: FrameType | None) -> None:
        raise Hang

    told = limits.free_memory
    before = {number: signal.signal(number, hang) for number in (signal.SIGALRM, signal.SIGPROF)}
    limits.free_memory = lambda: FREE
    soft, hard = limit_memory(MEMORY)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS)
    try:
        yield
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        limits.free_memory = told
