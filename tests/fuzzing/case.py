"""A case: files in a folder, which of them is loaded, and with which options."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

MARKER = "unpickled"
"""A file that appears where a pickle of the cases was loaded."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What is tried.

    Attributes:
        folder: holds all files of the case, and nothing else.
        name: what is loaded, below the folder.
        options: with which it is loaded.
    """

    folder: Path
    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> Path:
        """What is loaded."""
        return self.folder / self.name

    def keep(self, folder: Path, target: str, why: str) -> None:
        """Writes the case to a folder of its own, from which `kept` reads it."""
        folder.mkdir(parents=True, exist_ok=True)
        copied = folder / "files"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(self.folder, copied, symlinks=True, ignore=_fifos)
        fifos = [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_fifo()]
        content = {"target": target, "name": self.name, "options": self.options, "fifos": fifos, "why": why}
        (folder / "case.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def kept(stored: Path, folder: Path) -> tuple[str, Case]:
    """A copy of a kept case, made in `folder`, and the name of its target."""
    content = json.loads((stored / "case.json").read_text(encoding="utf-8"))
    shutil.copytree(stored / "files", folder, symlinks=True, dirs_exist_ok=True)
    for name in content["fifos"]:
        os.mkfifo(folder / name)
    return content["target"], Case(folder, content["name"], content["options"])


def _fifos(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_fifo()]


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader that is tried.

    Attributes:
        name: of the target.
        make: writes a case into an empty folder; the same random numbers give the same case.
        load: loads it, all of it.
        names_files: whether what is refused must name a file of the case (or the data, or an option) that is at fault.
    """

    name: str
    make: Callable[[Random, Path], Case]
    load: Callable[[Case], None]
    names_files: bool = True


class Pickled:
    """Its pickle writes MARKER into the working directory where it is loaded."""

    def __reduce__(self) -> Any:
        return open, (MARKER, "w")
