"""A comparison that was stopped goes on: fits that are done are not done again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pyrovae import registry
from pyrovae.config import Settings
from pyrovae.data.raw import DataSpec
from pyrovae.errors import UsageError, option
from pyrovae.pairs.pair import ModelSpec
from pyrovae.pairs.parameters import device_of
from pyrovae.runs import directory
from pyrovae.runs.claim import is_run
from pyrovae.runs.loading import load
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.run import Run
from pyrovae.runtime import memory
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.seeding import seeded
from pyrovae.storage import atomic
from pyrovae.storage.jsonable import Json, JsonMapping
from pyrovae.svi.precision import tf32
from pyrovae.training import freezing
from pyrovae.training.fit import fit
from pyrovae.training.plan import variant_of
from pyrovae.training.resuming import FREE
from pyrovae.training.scores import scores

FILE = "compare.json"
"""Written last, when all is done."""

BESIDE = ("compare.npz", "compare.png", "posteriors.png")
"""Written just before it."""


def path_of(folder: Path, guide: str, seed: int) -> Path:
    """The run directory of a fit."""
    return folder / re.sub(r"[^=.\w-]+", "_", f"{guide}-{seed}")


def unfinished(folders: Iterable[Path], guides: Sequence[str], seeds: Sequence[int]) -> list[Path]:
    """Those of `folders` that hold a comparison of these fits, or of some of them, that was stopped."""
    names = {path_of(Path(), guide, seed).name for guide in guides for seed in seeds}
    stopped = []
    for folder in folders:
        with suppress(OSError):
            runs = [each.name for each in folder.iterdir() if is_run(each)]
            if runs and names.issuperset(runs) and not (folder / FILE).exists():
                stopped.append(folder)
    return stopped


def require_free(folder: Path, overwrite: bool) -> None:
    """Raises UsageError where a comparison may not be made: the folder is something else, or holds one that is done."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file: give a folder for the comparison")
    done = (folder / FILE).is_file()
    if not done and not all(is_run(each) or _is_bare(each) or _is_left(each) for each in folder.iterdir()):
        raise UsageError(f"{folder} exists and holds no comparison: give a new folder")
    if done and not overwrite:
        raise UsageError(
            f"there is a comparison in {folder} already: take another {option('out')}, or {option('overwrite', True)}"
        )


class Begun:
    """A fit of a comparison, and what an earlier call has left of it.

    Args:
        path: its run directory.
        wanted: what is to be fitted, and how.
        source: the run whose model is frozen.
        model: that of the call.

    Raises:
        UsageError: where there is a run of another recipe, or of another frozen model.
    """

    def __init__(self, path: Path, wanted: Recipe, source: Run | None, model: ModelSpec | None) -> None:
        self.path, self.wanted = path, wanted
        self.variant = variant_of(wanted.model or model)  # type: ignore[arg-type]
        self.make = None if wanted.model or isinstance(model, str) else model
        self.is_there = (path / directory.RUN).is_file()
        if self.is_there and not self._is_same(None if source is None else freezing.checksum(source.pair.model)):
            raise UsageError(
                f"{path} holds a run of other options: take another {option('out')}, or {option('overwrite', True)}"
            )

    def _is_same(self, frozen: str | None) -> bool:
        there = directory.content(self.path)["recipe"]
        if self.variant is None or there["model"] != self.wanted.model:
            return False
        # Parsed, so that an option that is newer than the run has its default.
        held = Recipe.from_json(there, self.variant).to_json()
        return _fixed(held) == _fixed(self.wanted.to_json()) and (there.get("frozen") or {}).get("weights") == frozen

    def gone_on(self, data: DataSpec | None, settings: Settings, show: Progress, trust: bool) -> Run:
        """The run that is there, trained to its end and scored.

        Args:
            data: as they were given to `compare`.
            settings: of these the ones that may be others than before.
            show: where progress goes.
            trust: run the user's own code where the run names some; that of the call is run in any case.

        Raises:
            PyrovaeError: where it is damaged, or of other data.
        """
        wanted, given = self.wanted, None if isinstance(data, str | Path) else data
        trust = trust or bool(registry.own_code(wanted.model, wanted.guide, wanted.named()))
        free = {name: settings[name] for name in FREE if name != "epochs" and settings.get(name) is not None}
        if directory.content(self.path)["status"] != "done":
            show.line(f"{self.path} was stopped, and goes on")
            return fit(self.make, resume=self.path, data=given, show=show, trust=trust, **free)
        show.line(f"{self.path} is done, and is scored")
        run = load(self.path, self.make, data=given, device=wanted.training.device, trust=trust)
        if "data_root" in free:
            run.move_data(Path(free["data_root"]))
        config, device = run.recipe.training, device_of(run.pair)
        with memory.limited(config.max_memory, device), seeded(config.seed, device), tf32(config.precision):
            scores(run, config, show)  # the log-likelihood of each datum was not kept
        return run


def _is_bare(path: Path) -> bool:
    """Whether it is the folder of a fit that has not begun to write, or was killed where it began."""
    return path.is_dir() and all(each.name == directory.LOCK or atomic.is_aside(each) for each in path.iterdir())


def _is_left(path: Path) -> bool:
    """Whether it is a file that a comparison was killed behind, or while it wrote it."""
    return path.name in BESIDE or (atomic.is_aside(path) and path.is_file())


def _fixed(recipe: JsonMapping) -> Json:
    """The recipe of a fit as JSON, without what may change."""
    free = {*FREE} - {"epochs"}
    parts = {name: recipe[name] for name in ("guide", "data")}
    for name in ("options", "data_options", "training"):
        parts[name] = {key: value for key, value in (recipe[name] or {}).items() if key not in free}
    return parts
