"""Files that are written whole or not at all: aside, synced, renamed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pyrovae.storage.jsonable import finite

if TYPE_CHECKING:
    import numpy as np


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; afterwards it is synced and takes the place of `path`, or nothing happens."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        remove_empty(made)
        raise


def is_aside(path: Path) -> bool:
    """Whether a file has the name of one that was written aside, as a kill leaves it."""
    return re.match(r"\.[0-9a-f]{8}\..", path.name) is not None


def remove_empty(folders: Iterable[Path]) -> None:
    """Removes folders, inner ones first, up to the first that holds something."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Writes files, all or none: each aside and synced; then they take their places, the first one last."""
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            with open(stack.enter_context(aside(path)), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Lets the names in a folder outlive a loss of power, where the system can open a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with aside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Writes JSON whole or not at all; a number that is not finite becomes null."""
    write_text(path, to_json(value))


def to_json(value: object) -> str:
    """Indented JSON; a number that is not finite becomes null."""
    return json.dumps(finite(value), indent=2, allow_nan=False) + "\n"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a .npz whole or not at all."""
    with aside(path) as temporary, open(temporary, "wb") as file:
        import numpy as np  # not before it is needed: a command is refused without it

        np.savez(file, **arrays)  # type: ignore[arg-type]
