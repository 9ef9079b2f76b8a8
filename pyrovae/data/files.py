"""Reading files whose fault, if they have one, is told in one sentence."""

import gzip
import zlib
from pathlib import Path

from pyrovae.errors import PyrovaeError


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked where its name ends in .gz."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
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
