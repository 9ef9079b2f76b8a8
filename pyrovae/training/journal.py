"""What a fit writes while it trains: run.json at its start, a line an epoch, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError, option, system
from pyrovae.runs import directory, pictures, tensors
from pyrovae.runs.checkpoint import Checkpoint
from pyrovae.runs.claim import is_run
from pyrovae.runs.commit import append_metrics, clear, commit, metrics_path
from pyrovae.runs.run import Run
from pyrovae.runs.texts import Metrics
from pyrovae.runtime.progress import Progress
from pyrovae.storage import atomic
from pyrovae.storage.jsonable import JsonMapping


class Journal:
    """The run directory of a fit that is running.

    A run that is to be replaced stays as it is until the first checkpoint of the new one.

    Args:
        folder: the run directory.
        header: what run.json says of the fit (`pyrovae.runs.saving.header`).
        config: config.toml; None where there is none.
        vocabulary: of text.
        start: the checkpoint from which the fit goes on.
    """

    def __init__(
        self,
        folder: Path,
        header: JsonMapping,
        config: str | None,
        vocabulary: Vocabulary | None,
        start: Checkpoint | None = None,
    ) -> None:
        self.folder = folder
        self.header = dict(header)
        texts = {"config": config, "vocabulary": None if vocabulary is None else vocabulary.to_json()}
        self.texts = {role: text.encode() for role, text in texts.items() if text is not None}
        self.start = start
        self.step = None if start is None else start.position.step
        self.replaces = start is None and is_run(folder)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Writes the start; where the fit fails before a checkpoint, nothing of it stays."""
        if self.start is not None:  # without the epochs after the checkpoint, which come again
            named = directory.entries(self.folder)
            atomic.write_text(self.folder / metrics_path(named), tensors.to_lines(self.start.metrics))
        if not self.replaces:
            self._commit(self.start)
        try:
            yield
        except Exception:
            if self.step is None and not self.replaces:
                (self.folder / directory.RUN).unlink(missing_ok=True)
                clear(self.folder, ())
            raise

    def epoch(self, metrics: Metrics) -> None:
        """Adds a line to metrics.jsonl."""
        if not self.replaces:
            with self._told():
                append_metrics(self.folder, tensors.to_lines([metrics]))

    def checkpoint(self, now: Callable[[], Checkpoint]) -> None:
        """Makes what `now` gives the state from which the fit goes on.

        Raises:
            PyrovaeError: where it cannot be written; the checkpoint before stays.
        """
        checkpoint = now()
        self._commit(checkpoint)
        self.step, self.replaces = checkpoint.position.step, False

    @property
    def path(self) -> Path | None:
        """Where the run lies already; None before the first checkpoint of a run that replaces another one."""
        return None if self.replaces else self.folder

    def trained(self, run: Run, overwrite: bool) -> None:
        """Saves what was trained before it is scored: it is not lost to what comes after. Where the last checkpoint of
        an interrupted fit is of another step, because a second Ctrl-C came inside one, or is still to come, the folder
        stays as it is."""
        if run.status != "training" or self.step == run.outcome.steps:
            self._save(run, overwrite)

    def done(self, run: Run, show: Progress) -> None:
        """Draws pictures, and saves the run with its scores, also where something cannot be drawn."""
        try:
            pictures.pictures(run, self.folder)
        except PyrovaeError as error:
            show.line(f"note: a picture was left out: {error}")
        self._save(run)

    def _save(self, run: Run, overwrite: bool = False) -> None:
        with self._told():
            run.save(self.folder, overwrite)

    def _commit(self, checkpoint: Checkpoint | None) -> None:
        contents, progress = dict(self.texts), None
        if checkpoint is not None:
            progress = checkpoint.position.to_json()
            contents |= {
                "checkpoint": checkpoint.to_bytes(),
                "metrics": tensors.to_lines(checkpoint.metrics).encode(),
            }
        content = self.header | {"status": "training", "progress": progress, "results": {}}
        with self._told():
            commit(self.folder, content, contents)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            resume = option("resume", self.folder, command="fit")
            kept = (
                "nothing of this fit is kept"
                if self.step is None
                else f"the checkpoint of step {self.step} is whole, and {resume} goes on from it"
            )
            raise PyrovaeError(f"{system(error)}; {kept}") from error


class Unwritten:
    """The journal of a fit that writes nothing."""

    path: Path | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """See `Journal`."""
        yield

    def epoch(self, metrics: Metrics) -> None:
        """See `Journal`."""

    def checkpoint(self, now: Callable[[], Checkpoint]) -> None:
        """See `Journal`; nothing is asked for."""

    def trained(self, run: Run, overwrite: bool) -> None:
        """See `Journal`."""

    def done(self, run: Run, show: Progress) -> None:
        """See `Journal`."""


class Every:
    """How often something is done: every so many steps, or seconds.

    Args:
        steps: 0 where seconds count.
        seconds: 0 where steps count.
    """

    def __init__(self, steps: int, seconds: float) -> None:
        self.steps, self.seconds = steps, seconds
        self.since = time.monotonic()

    @classmethod
    def parse(cls, text: str) -> Every:
        """`500` are steps, `30s` are seconds, `0` is never."""
        return cls(0, float(text[:-1])) if text.endswith("s") else cls(int(text), 0.0)

    def is_due(self, step: int) -> bool:
        """Whether it is time, after this step."""
        if self.steps:
            return step % self.steps == 0
        if not self.seconds or time.monotonic() - self.since < self.seconds:
            return False
        self.since = time.monotonic()
        return True
