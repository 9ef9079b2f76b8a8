"""Downloads: what was fetched is put in place when all of it was checked, and else is gone."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyrovae.errors import PyrovaeError
from pyrovae.storage.atomic import remove_empty


@contextmanager
def fetched(what: str, root: Path) -> Iterator[Path]:
    """A folder to download into, whose files then move to the same places below `root`.

    What fetches must check the checksum of every file and raise where it is another. torchvision does, but leaves the
    wrong file where the next call looks for the right one; so does a download that was cut short.

    Args:
        what: is fetched, named in the error.
        root: where the files belong.

    Raises:
        PyrovaeError: where they could not be fetched, or are other files than they should be; nothing is left of them.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
            yield Path(temporary)
            for path in sorted(Path(temporary).rglob("*")):
                place = root / path.relative_to(temporary)
                if path.is_dir():
                    place.mkdir(exist_ok=True)
                else:
                    os.replace(path, place)
    except (OSError, RuntimeError) as error:
        raise PyrovaeError(f"{what} cannot be downloaded into {root}: {error}") from None
    finally:
        remove_empty(made)
