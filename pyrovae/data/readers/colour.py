"""Colour photographs through torchvision's own classes, which check what they fetch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Raw
from pyrovae.data.readers.fetch import fetched
from pyrovae.errors import UsageError, option

D = TypeVar("D")


def cifar10(config: DataConfig) -> Raw:
    """Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009."""
    from torchvision.datasets import CIFAR10

    train, test = (_open("cifar10", CIFAR10, config, train=train) for train in (True, False))
    columns: dict[Any, Any] = {s: {"x": d.data, "y": d.targets} for s, d in (("train", train), ("test", test))}
    return Raw(columns=columns, names=tuple(train.classes), divisor=255.0)


def svhn(config: DataConfig) -> Raw:
    """Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011; without `extra`."""
    from torchvision.datasets import SVHN

    columns: dict[Any, Any] = {}
    for split in ("train", "test"):
        data = _open("svhn", SVHN, config, split=split)
        columns[split] = {"x": data.data, "y": data.labels}
    return Raw(columns=columns, names=tuple("0123456789"), divisor=255.0)


def celeba(config: DataConfig) -> Raw:
    """Liu et al., Deep Learning Face Attributes in the Wild, 2015: three splits, the central 148x148 shrunk to 64."""
    from torchvision.datasets import CelebA

    size = config.image_size or 64
    columns: dict[Any, Any] = {}
    for split in ("train", "valid", "test"):
        data = _open("celeba", CelebA, config, split=split)
        pixels = np.empty((len(data), size, size, 3), np.uint8)
        for i in range(len(data)):
            image, _ = data[i]
            left, top = (image.width - 148) // 2, (image.height - 148) // 2
            pixels[i] = image.crop((left, top, left + 148, top + 148)).resize((size, size), Image.Resampling.BILINEAR)
        columns[split] = {"x": pixels}
    return Raw(columns=columns, divisor=255.0)


def _open(name: str, dataset: Callable[..., D], config: DataConfig, **options: object) -> D:
    root: Path = config.root
    try:
        return dataset(root, download=False, **options)
    except (OSError, RuntimeError):
        if not config.download:
            raise UsageError(
                f"data '{name}' is not in {root}, or damaged: give {option('download', True)}, or the folder that has "
                f"it with {option('data_root')}"
            ) from None
    with fetched(f"data '{name}'", root) as temporary:
        dataset(temporary, download=True, **options)
    return dataset(root, download=False, **options)
