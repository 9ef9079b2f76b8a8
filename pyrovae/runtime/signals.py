"""Ctrl-C and SIGTERM, which wait for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether someone asked to stop.

    Attributes:
        asked: a signal came while it was held back.
        held: signals wait, until the second one.
    """

    def __init__(self) -> None:
        self.asked = False
        self.held = False

    def receive(self, number: int, frame: FrameType | None) -> None:
        """What a signal does."""
        if not self.held or self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def pause(self) -> None:
        """A place to stop at; raises KeyboardInterrupt where someone asked."""
        if self.asked:
            self.asked = False
            raise KeyboardInterrupt

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Inside, a signal waits for a `pause`, or for the end."""
        self.held = True
        try:
            yield
        finally:
            self.held = False
        self.pause()


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Takes SIGINT and SIGTERM where Python or the system would answer them; other handlers stay as they are."""
    stop, before = Stop(), {}
    if threading.current_thread() is threading.main_thread():
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) == usual:
                before[number] = signal.signal(number, stop.receive)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
