"""stdout and stderr that are closed or full, or whose reader has gone: no fit is lost with a line of its progress."""

import faulthandler
import io
import os
import sys
from contextlib import suppress
from typing import IO


class Spare:
    """sys.stderr of the moment, as a file: what it does not take is dropped, and so is all that comes after."""

    def __init__(self) -> None:
        self.lost = False

    @property
    def encoding(self) -> str:
        """Of sys.stderr."""
        return getattr(self._file(), "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether somebody reads along; not where there is no stderr."""
        file = self._file()
        with suppress(OSError, ValueError):
            return file is not None and file.isatty()
        return False

    def write(self, text: str) -> int:
        """Writes what can be written; of a text it takes all or nothing."""
        file = self._file()
        if file is not None and not self.lost:
            try:
                file.write(text)
            except (OSError, ValueError):  # ValueError: of a file that Python has closed
                self.lost = True
        return len(text)

    def flush(self) -> None:
        """As `write`."""
        file = self._file()
        if file is not None and not self.lost:
            try:
                file.flush()
            except (OSError, ValueError):
                self.lost = True

    def _file(self) -> IO[str] | None:
        # While a bar is shown rich puts a file of its own there, which writes to the bar's console, and so to this one.
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)


def prepare() -> None:
    """Makes stdout and stderr take all that a command prints, once, before it opens a file."""
    _open_closed()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # A name of a file may be no UTF-8, and a word none of the letters of the terminal: as Python does on stderr.
        sys.stdout.reconfigure(errors="backslashreplace")


def _open_closed() -> None:
    """Gives a process that was started with stdout or stderr closed (`>&-`) one that keeps nothing: Python has None
    there, and the first files that are opened would get their numbers, to which libraries write."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            _to_nowhere(number)
        setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (to the end of the process)


def tell_faults() -> None:
    """Where the process is ended by a signal of its memory, as where a file that is mapped gets shorter, Python says on
    stderr in which line; without it the process ends without a word."""
    if not faulthandler.is_enabled():
        with suppress(OSError, ValueError, AttributeError, RuntimeError):  # of a stderr that is closed, or no file
            faulthandler.enable()


def forget(file: IO[str] | None) -> None:
    """Where a standard stream cannot be written, keeps the interpreter from trying again at exit, which would complain
    and end with 120."""
    if file is None:
        return
    try:
        file.flush()
    except OSError:
        with suppress(OSError, ValueError):
            _to_nowhere(file.fileno())
    except ValueError:
        pass  # it is closed


def _to_nowhere(number: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    if null != number:
        os.dup2(null, number)
        os.close(null)
