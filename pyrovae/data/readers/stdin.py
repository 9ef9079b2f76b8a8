"""Standard input, read as the file would be that it comes from."""

import sys
import tempfile
from pathlib import Path

from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Found
from pyrovae.data.readers.paths import read
from pyrovae.errors import PyrovaeError

MAGIC = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz"}


def read_stdin(config: DataConfig, text: bool) -> Found:
    """Sentences, one a line, where `text`; else a .npy or .npz, or numbers in lines, between blanks or commas.

    Raises:
        PyrovaeError: where there is nothing, or it is none of these.
    """
    content = sys.stdin.buffer.read()
    if not content.strip():
        raise PyrovaeError("data -: standard input is empty: pipe the data into it")
    suffix = ".txt" if text else next((MAGIC[magic] for magic in MAGIC if content.startswith(magic)), ".amat")
    content = content.replace(b",", b" ") if suffix == ".amat" else content
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdin").with_suffix(suffix)
        path.write_bytes(content)
        try:
            return read(path, config)
        except PyrovaeError as error:
            raise type(error)(str(error).replace(str(path), "standard input")) from None
