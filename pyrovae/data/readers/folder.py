"""A folder of image files: subfolders are classes; train/, valid/ and test/ are splits."""

import os
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from pyrovae.data.columns import arrange, numbers
from pyrovae.data.limits import require_memory
from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Raw
from pyrovae.data.readers.bytes import require_file
from pyrovae.data.stored import Stored, streams
from pyrovae.data.synonyms import SPLIT_OF
from pyrovae.errors import PyrovaeError, brief, option

GRAY = frozenset({"1", "L", "LA"})
"""Modes of an image without colour."""

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What is looked for in a file, whatever its name: Pillow knows others, of which EPS runs a program."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})

LOOKED = 100_000
"""Files and folders that are looked at where none is an image, and ten more for each image: not a whole disk."""


class Header(NamedTuple):
    """What is known of an image before it is decoded.

    Attributes:
        mode: Pillow's name of what a pixel is.
        size: height and width.
        alpha: whether pixels may be transparent.
        pictures: in the file: of a photograph, previews and depth maps among them.
    """

    mode: str
    size: tuple[int, int]
    alpha: bool
    pictures: int


def read_images(folder: Path, config: DataConfig) -> Raw:
    """Images of one size (after `image_size`): gray if all are gray, else RGB; y where there are class folders."""
    found = {split: _list(child) for split, child in _splits(folder).items()}
    if len({classes is None for _, classes in found.values()}) > 1:
        raise PyrovaeError(f"{folder} has class folders in some splits only: use them in all, or in none")
    names = sorted({name for _, classes in found.values() for name in classes or ()})
    headers = {path: _header(path) for files, _ in found.values() for path in files}
    mode = "L" if all(header.mode in GRAY for header in headers.values()) else "RGB"
    columns: dict[Any, Any] = {}
    for split, (files, classes) in found.items():
        height, width = headers[files[0]].size
        pixels = width * height if config.image_size is None else config.image_size**2
        if split == "train" and streams(config, len(files) * pixels * len(mode)):
            if config.image_size is None:
                _require_one_size({path: headers[path].size for path in files})
            columns[split] = {"x": Stored(ImageFiles(folder, files, mode, config.image_size))}
        else:
            columns[split] = {"x": _stack(files, mode, config.image_size)}
        if classes is not None:
            columns[split]["y"] = np.array([names.index(name) for name in classes], np.int64)
    rows: dict[Any, list[str]] = {
        split: [path.relative_to(folder).as_posix() for path in files] for split, (files, _) in found.items()
    }
    notes = _notes(headers.values())
    return Raw(columns=columns, names=tuple(names) or None, divisor=255.0, notes=notes, rows=rows)


def _notes(headers: Collection[Header]) -> tuple[str, ...]:
    """What is left out of the images."""
    alpha, several = sum(header.alpha for header in headers), sum(header.pictures > 1 for header in headers)
    found = {
        f"{alpha:,} of {len(headers):,} images have an alpha channel, which is left out: a transparent pixel has the "
        "colour that is stored for it": alpha,
        f"{several:,} of {len(headers):,} images are photographs with further pictures (MPO), of which the first is "
        "taken": several,
    }
    return tuple(note for note, count in found.items() if count)


class ImageFiles:
    """Image files, decoded when they are asked for; see `pyrovae.data.stored.Source`.

    Args:
        folder: below which they lie.
        files: the images, in their order.
        mode: `L` or `RGB`, what they are made.
        size: their height and width are made this; None leaves them.
    """

    costly = True

    def __init__(self, folder: Path, files: list[Path], mode: str, size: int | None) -> None:
        self.folder, self.mode, self.size = folder, mode, size
        # One block of bytes: of a list of names every worker would get a copy, as their reference counts change.
        self.names = np.array([os.fsencode(file.relative_to(folder)) for file in files])
        one = self.read(np.arange(1))
        self.shape, self.dtype = (len(files), *one.shape[1:]), one.dtype

    def read(self, rows: np.ndarray) -> Tensor:
        """See Source."""
        files = self._files(rows)
        return arrange(numbers(_stack(files, self.mode, self.size), str(self.folder)), str(self.folder), "image")

    def require_unchanged(self) -> None:
        """Nothing: to look at every file would take long."""

    def stamps(self, rows: np.ndarray) -> Iterator[bytes]:
        """Name and bytes of each file."""
        for name in self.names[rows].tolist():
            yield b"%s %d\n" % (name, (self.folder / os.fsdecode(name)).stat().st_size)

    def _files(self, rows: np.ndarray) -> list[Path]:
        return [self.folder / os.fsdecode(name) for name in self.names[rows].tolist()]


def _splits(folder: Path) -> dict[str, Path]:
    """The folders of the splits; the folder itself, as train, where none has the name of one."""
    splits: dict[str, Path] = {}
    for child in _children(folder):
        split = SPLIT_OF.get(child.name)
        if split is None or not child.is_dir():
            continue
        if split in splits:
            raise PyrovaeError(
                f"{folder} holds {splits[split].name} and {child.name}, two {split} splits: take one away"
            )
        splits[split] = child
    if splits and "train" not in splits:
        raise PyrovaeError(f"{folder} holds {', '.join(child.name for child in splits.values())} and no train: add it")
    return splits or {"train": folder}


def _list(folder: Path) -> tuple[list[Path], list[str] | None]:
    """The image files below a folder, and the class of each if they lie in subfolders."""
    children, looked = _children(folder), 0
    here = [path for path in children if path.suffix.lower() in SUFFIXES and not path.is_dir()]
    below: list[tuple[Path, str]] = []
    for child in children:
        images: list[Path] = []
        for where, folders, files in os.walk(child):
            images += [Path(where, name) for name in files if _is_image(name)]
            looked, found = looked + len(folders) + len(files), len(here) + len(below) + len(images)
            if looked > LOOKED + 10 * found:
                raise PyrovaeError(
                    f"{folder} holds many other things, of {looked:,} files and folders that were looked at {found:,} "
                    f"are images: give the folder that holds the images alone"
                )
        below += [(path, child.name) for path in sorted(images)]
    if here and below:
        raise PyrovaeError(f"{folder} holds images beside subfolders of images: put all in subfolders, or none")
    if not here and not below:
        raise PyrovaeError(f"{folder} holds no image, no train.txt and no .amat file: give another folder")
    return (here, None) if here else ([path for path, _ in below], [name for _, name in below])


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def _stack(files: list[Path], mode: str, size: int | None) -> np.ndarray:
    """uint8 `(N, H, W)` of gray, `(N, 3, H, W)` of colour: of an image that is 1 or 3 high, what its channels are could
    not be told from its shape."""
    pixels = []
    for path in files:
        pixels.append(_decoded(path, mode, size))
        if len(pixels) == 1:
            require_memory(2 * len(files) * pixels[0].nbytes, str(path.parent))  # the copy of np.stack, too
        _require_one_size({files[0]: pixels[0].shape[:2], path: pixels[-1].shape[:2]})
    return np.moveaxis(np.stack(pixels), 3, 1) if mode == "RGB" else np.stack(pixels)


def _require_one_size(sizes: Mapping[Path, tuple[int, ...]]) -> None:
    """Raises PyrovaeError for the first image whose height and width are not those of the first one."""
    first, (h0, w0) = next(iter(sizes.items()))
    for path, (h, w) in sizes.items():
        if (h, w) != (h0, w0):
            raise PyrovaeError(f"{path} is {h}x{w} and {first} is {h0}x{w0}: give {option('image_size')}")


def _decoded(path: Path, mode: str, size: int | None) -> np.ndarray:
    """uint8 `(H, W)` or `(H, W, 3)`."""
    with _readable(path) as image:
        require_memory(4 * image.width * image.height, str(path))  # of any mode
        image.load()
        found = image.convert(mode)
        if size is not None:
            found = ImageOps.fit(found, (size, size), Image.Resampling.BILINEAR)  # crops to a square, then shrinks
        return np.asarray(found)


def _header(path: Path) -> Header:
    """What the file says of the image; decodes nothing."""
    with _readable(path) as image:
        pictures = getattr(image, "n_frames", 1)
        if pictures > 1 and image.format != "MPO":
            raise PyrovaeError(f"{path} holds {pictures} pages or frames: save each as an image of its own")
        alpha = image.mode.endswith(("A", "a")) or "transparency" in image.info
        return Header(image.mode, (image.height, image.width), alpha, pictures)


@contextmanager
def _readable(path: Path) -> Iterator[Image.Image]:
    """Raises PyrovaeError, which names the file, where it is no image of 8 bits or cannot be read inside."""
    require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of oddities that it can read
            with Image.open(path, formats=FORMATS) as image:
                if image.mode.startswith(("I", "F")):
                    raise PyrovaeError(f"{path} has more than 8 bits a pixel ({image.mode}): convert it to 8")
                yield image
    except (PyrovaeError, MemoryError):
        raise
    except Exception as error:  # of a damaged image, Pillow lets through all that its parsers raise
        raise PyrovaeError(f"{path} is no image that can be read ({brief(error)}): mend it or take it away") from None
