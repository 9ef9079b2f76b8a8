"""Threads of torch on a CPU: how long they spin while they wait, and whether they starve.

Threads that share an operation wait for each other at its end by spinning. Where something else uses the cores, they
spin while the thread that they wait for cannot run, and a step takes ten times as long and more.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

SPINS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Variables of the environment by which GNU's OpenMP, which torch has on Linux, knows how long to spin."""

SECONDS = 5.0
"""Over which it is seen whether threads starve."""

SWITCHES = 50.0
"""A second, by which the system takes the cores away: on quiet cores a few."""

SHARE = 0.6
"""Of the time of the cores that threads get, below which they starve."""


class Usage(NamedTuple):
    """Of this process: wall-clock and processor seconds, and how often a core was taken from it."""

    wall: float
    cpu: float
    switches: int


def spin_briefly() -> None:
    """Lets threads spin for some microseconds and then sleep, where nobody has said otherwise and torch is not loaded:
    docs/decisions/0008 has the measurement."""
    if "torch" not in sys.modules and not any(name in os.environ for name in SPINS):
        os.environ["GOMP_SPINCOUNT"] = "3000"


def usage() -> Usage | None:
    """Up to now; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(time.perf_counter(), used.ru_utime + used.ru_stime, used.ru_nivcsw)


class Crowded:
    """Whether other programs starve the threads of a loop on a CPU: called at each turn, it says so once.

    Args:
        threads: how many there are.
        used: gives the usage up to now.
    """

    def __init__(self, threads: int, used: Callable[[], Usage | None] = usage) -> None:
        self.threads, self.used, self.over = threads, used, threads < 2
        self.before: Usage | None = None

    def __call__(self) -> str | None:
        """A sentence with the cure, the first time that threads have starved for some seconds; else None. The first
        call begins: what came before, as a compilation, is no turn."""
        if self.over or (self.before is not None and time.perf_counter() - self.before.wall < SECONDS):
            return None
        before, now = self.before, self.used()
        self.before, self.over = now, now is None
        if before is None or now is None:
            return None
        seconds = now.wall - before.wall
        share = (now.cpu - before.cpu) / seconds / self.threads
        if share >= SHARE or (now.switches - before.switches) / seconds < SWITCHES:
            return None
        self.over = True
        cure = "OMP_NUM_THREADS=1 in the environment, or torch.set_num_threads(1), is faster then"
        if not any(name in os.environ for name in SPINS):
            cure = "set GOMP_SPINCOUNT=3000 in the environment before torch is imported, or torch.set_num_threads(1)"
        return (
            f"note: other processes use the cores, and the {self.threads} threads get {share:.0%} of their time, which "
            f"they spend waiting for each other: {cure}"
        )
