"""Turns of threads: what torch and Pyro keep once for the whole process belongs to one thread at a time.

torch has one generator of noise for a device, Pyro one stack of handlers and one switch for its checks. A thread that
touches them stands in a `Shared` context, and only one thread of a process stands in such contexts; the others wait.
Between two steps or pieces of a long computation, `between` leaves all contexts of the thread, lets the one that has
waited longest go on, and enters them again as they were left. So threads that fit or score different pairs find the
same bits as alone. They share the time of one thread: where cores are free, processes are faster.

The turns are those of pyrovae's own verbs. Code of yours that runs Pyro, or draws from torch's generator, in another
thread at the same time is not among them.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from types import TracebackType

SLICE = 0.02
"""Seconds after which a thread lets another go on; leaving and entering its contexts takes some 50 microseconds."""


class Shared(ABC):
    """A context that changes what all threads share, for one `with` block.

    It may be left and entered again in between, so `back` keeps what `put` needs to go on from there.
    """

    whole = False
    """Whether the thread keeps its turn until the end."""

    @abstractmethod
    def put(self) -> None:
        """Keeps what is found, and puts what holds inside."""

    @abstractmethod
    def back(self) -> None:
        """Keeps what holds inside, and puts back what was found."""

    def __enter__(self) -> None:
        _turns.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _turns.leave()


class Whole(Shared):
    """Inside, the thread keeps its turn until the end."""

    whole = True

    def put(self) -> None:
        pass

    def back(self) -> None:
        pass


def between() -> None:
    """Lets another thread go on, where one waits; called where a thread can be left, between two steps or pieces."""
    if len(_turns.queue) > 1:
        _turns.hand_over()


class _Turns:
    """The threads that want to go on, in the order in which they came; the first one may."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.queue: deque[int] = deque()
        self.since = 0.0
        self.own = threading.local()

    def contexts(self) -> list[Shared]:
        """Those that this thread stands in, the outermost first."""
        if not hasattr(self.own, "contexts"):
            self.own.contexts = []
        found: list[Shared] = self.own.contexts
        return found

    def enter(self, context: Shared) -> None:
        contexts = self.contexts()
        if not contexts:
            self.take()
        try:
            context.put()
            contexts.append(context)
        except BaseException:
            if not contexts:
                self.give()
            raise

    def leave(self) -> None:
        contexts = self.contexts()
        try:
            contexts.pop().back()
        finally:
            if not contexts:
                self.give()

    def take(self) -> None:
        """Waits for the turn."""
        me = threading.get_ident()
        with self.changed:
            self.queue.append(me)
            try:
                self.changed.wait_for(lambda: self.queue[0] == me)
            except BaseException:  # Ctrl-C
                self.queue.remove(me)
                self.changed.notify_all()
                raise
            self.since = time.monotonic()

    def give(self) -> None:
        """Ends the turn."""
        with self.changed:
            self.queue.popleft()
            self.changed.notify_all()

    def hand_over(self) -> None:
        """Lets the others have their turns, where this thread has had its own for a while."""
        contexts = self.contexts()
        if time.monotonic() - self.since < SLICE or not contexts or any(context.whole for context in contexts):
            return
        for context in reversed(contexts):
            context.back()
        self.give()
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                self.take()
                break
            except KeyboardInterrupt as error:  # not before the contexts are as the code around them will leave them
                interrupt = error
        for context in contexts:
            context.put()
        if interrupt is not None:
            raise interrupt

    def after_fork(self) -> None:
        """A new process has one thread, that which forked: nobody else waits or goes on."""
        self.changed = threading.Condition()
        self.queue = deque([threading.get_ident()] if self.contexts() else [])


_turns = _Turns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.after_fork)
