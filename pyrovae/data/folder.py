"""A folder of image files: subfolders are classes; train/, valid/ and test/ are splits."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pyrovae.data.npy import SPLIT_OF
from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Raw
from pyrovae.errors import PyrovaeError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def read_images(folder: Path, config: DataConfig) -> Raw:
    """Images of one size (after --image-size): gray if all are gray, else RGB; y where there are class folders."""
    inner = {child.name: child for child in _children(folder) if child.is_dir()}
    splits = {SPLIT_OF[name]: child for name, child in inner.items() if name in SPLIT_OF}
    if "train" not in splits:
        splits = {"train": folder}
    found = {split: _list(child) for split, child in splits.items()}
    if len({classes is None for _, classes in found.values()}) > 1:
        raise PyrovaeError(f"{folder} has class folders in some splits only: use them in all, or in none")
    names = sorted({name for _, classes in found.values() for name in classes or ()})
    paths = [path for files, _ in found.values() for path in files]
    gray = all(_open(path).mode in ("1", "L", "LA") for path in paths)
    columns: dict[Any, Any] = {}
    for split, (files, classes) in found.items():
        columns[split] = {"x": _stack(files, "L" if gray else "RGB", config.image_size)}
        if classes is not None:
            columns[split]["y"] = np.array([names.index(name) for name in classes], np.int64)
    return Raw(columns=columns, names=tuple(names) or None)


def _list(folder: Path) -> tuple[list[Path], list[str] | None]:
    """The image files below a folder, and the class of each if they lie in subfolders."""
    here = [path for path in _children(folder) if path.suffix.lower() in SUFFIXES]
    below = [
        (path, child.name)
        for child in _children(folder)
        if child.is_dir()
        for path in sorted(child.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]
    if here and below:
        raise PyrovaeError(f"{folder} holds images beside subfolders of images: put all in subfolders, or none")
    if not here and not below:
        raise PyrovaeError(f"{folder} holds no image, no train.txt and no .amat file: give another folder")
    return (here, None) if here else ([path for path, _ in below], [name for _, name in below])


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if not child.name.startswith("."))


def _stack(files: list[Path], mode: str, size: int | None) -> np.ndarray:
    """uint8 `(N, H, W)` of gray, `(N, H, W, 3)` of colour."""
    pixels = []
    for path in files:
        image = _open(path).convert(mode)
        if size is not None:
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)  # crops to a square, then shrinks
        pixels.append(np.asarray(image))
        if pixels[-1].shape != pixels[0].shape:
            (h, w), (h0, w0) = pixels[-1].shape[:2], pixels[0].shape[:2]
            raise PyrovaeError(f"{path} is {h}x{w} and {files[0]} is {h0}x{w0}: give --image-size")
    return np.stack(pixels)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PyrovaeError(f"{path} is no image that can be read ({error}): mend it or take it away") from None
    if image.mode.startswith(("I", "F")):
        raise PyrovaeError(f"{path} has more than 8 bits a pixel ({image.mode}): convert it to 8")
    return image
