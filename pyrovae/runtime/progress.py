"""What a long command shows on stderr: bars on a terminal, lines elsewhere, nothing when it is told so."""

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import IO, cast, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from pyrovae.runtime.streams import Spare

EVERY = 5.0  # seconds between two lines


def progress(enabled: bool | None = None) -> "Progress":
    """Makes the Progress that fits stderr, for a `with` block.

    Args:
        enabled: False shows nothing; None shows nothing either in the processes of `torchrun` other than the first.
    """
    if enabled is None:
        enabled = os.environ.get("RANK", "0") == "0"
    file = Spare()
    bars = enabled and file.isatty() and os.environ.get("TERM") != "dumb"
    return _Bars(file) if bars else _Lines(file, not enabled)


def notes_only() -> "Progress":
    """Makes the Progress of a quiet fit: what a person should know of a result is written, and nothing else."""
    return _Notes(progress(None))


class Progress(ABC):
    """One task after another, each with a count and the latest figures.

    with progress() as shown:
        shown.start("vae", total=20)
        shown.advance(ELBO=-25.31, held_out=-26.02, lr=1e-3)    # vae 1/20  ELBO -25.31  held-out -26.02  lr 0.001
    """

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def start(self, description: str, total: int | None) -> None:
        """Begins a task of `total` steps, None where the number is not known; ends the one before."""

    @abstractmethod
    def advance(self, n: int = 1, **figures: float | str | None) -> None:
        """`n` steps are done; `figures` stand until the next ones (floats, or texts that are shown as they are)."""

    @abstractmethod
    def line(self, text: str) -> None:
        """Writes a note that stays."""

    @abstractmethod
    def close(self) -> None:
        """Ends the last task; `with` calls it."""


def _text(figures: Mapping[str, float | str | None]) -> str:
    return "  ".join(f"{k.replace('_', '-')} {_figure(v)}" for k, v in figures.items() if v is not None)


def _figure(value: float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


@final
class _Lines(Progress):
    def __init__(self, file: Spare, silent: bool) -> None:
        self.file, self.silent = file, silent
        self.description, self.done, self.figures = "", 0, ""
        self.total: int | None = None
        self.printed, self.when = True, -math.inf

    def start(self, description: str, total: int | None) -> None:
        self.close()
        self.description, self.total, self.done, self.figures = description, total, 0, ""
        self.when = -math.inf

    def advance(self, n: int = 1, **figures: float | str | None) -> None:
        self.done += n
        self.figures = _text(figures) or self.figures
        self.printed = False
        if time.monotonic() - self.when >= EVERY or self.done == self.total:
            self.close()

    def line(self, text: str) -> None:
        if not self.silent:
            print(text, file=self.file, flush=True)

    def close(self) -> None:
        if not self.printed:
            count = f"{self.done}" if self.total is None else f"{self.done}/{self.total}"
            self.line(f"{self.description} {count}  {self.figures}".rstrip())
            self.printed, self.when = True, time.monotonic()


@final
class _Notes(Progress):
    def __init__(self, shown: Progress) -> None:
        self.shown = shown

    def start(self, description: str, total: int | None) -> None:
        pass

    def advance(self, n: int = 1, **figures: float | str | None) -> None:
        pass

    def line(self, text: str) -> None:
        if text.startswith(("note: ", "warning: ")):
            self.shown.line(text)

    def close(self) -> None:
        pass


@final
class _Bars(Progress):
    def __init__(self, file: Spare) -> None:
        self.console = Console(file=cast(IO[str], file))
        self.bars: RichProgress | None = None

    def start(self, description: str, total: int | None) -> None:
        self.close()
        self.bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=self.console,
            refresh_per_second=4,
            redirect_stdout=False,  # rich would carry what is printed there over to stderr
        )
        self.bars.add_task(description, total=total, figures="")
        self.bars.start()

    def advance(self, n: int = 1, **figures: float | str | None) -> None:
        if self.bars is not None:
            task = self.bars.tasks[0]
            self.bars.update(task.id, advance=n, figures=_text(figures) or task.fields["figures"])

    def line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        if self.bars is not None:
            self.bars.stop()  # leaves the last state on the screen, and gives the cursor back
            self.bars = None
