"""Reading files whose fault, if they have one, is told in one sentence."""

import gzip
import zlib
from pathlib import Path

from pyrovae.data.limits import require_memory
from pyrovae.errors import PyrovaeError

CHUNK = 2**24
"""Bytes that are unpacked at once."""


def require_file(path: Path) -> None:
    """Raises PyrovaeError for what is there and no file: a pipe would be waited for, a device may never end."""
    if path.exists() and not path.is_file():
        raise PyrovaeError(f"{path} is no file, but a folder, a pipe or a device: give a file")


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked where its name ends in .gz."""
    require_file(path)
    try:
        if path.suffix != ".gz":
            require_memory(path.stat().st_size, str(path))
            return path.read_bytes()
        content = bytearray()
        with gzip.open(path) as packed:
            while piece := packed.read(CHUNK):
                content += piece
                require_memory(2 * len(content), str(path))  # the copy that is handed over, too
        return bytes(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise PyrovaeError(f"{path} is cut short or damaged ({error}): fetch it again") from None
    except OSError as error:
        raise PyrovaeError(f"{path} cannot be read: {error.strerror}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, plain or .gz."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PyrovaeError(f"{path} is no UTF-8 text (byte {error.start}): convert it") from None
    # Not splitlines(): a form feed or a U+2028 inside a sentence ends no line.
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def plain_or_gz(folder: Path, name: str) -> Path | None:
    """`folder/name` or `folder/name.gz`, whichever is there."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
