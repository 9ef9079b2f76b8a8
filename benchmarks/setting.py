"""What is trained: sizes, data, and the pair that all contestants stand for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pyrovae import data, registry
from pyrovae.data.dataset import Dataset
from pyrovae.pairs.pair import Pair
from pyrovae.runtime.seeding import seeded

LR = 1e-3
CLIP = 1000.0
"""Clipping is paid for and changes nothing, so that all train alike."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """A fully connected VAE on binarized images of 784 pixels."""

    name: str
    hidden: tuple[int, ...]
    latent_dim: int
    activation: Literal["relu", "tanh"]
    batch: int
    guide: str = "diagonal"

    def __str__(self) -> str:
        sizes = "-".join(map(str, (784, *self.hidden, self.latent_dim)))
        guide = "" if self.guide == "diagonal" else f", guide {self.guide}"
        return f"{sizes} {self.activation}, batch {self.batch}{guide}"


WIDE = Setting("wide", (400,), 20, "relu", 128)
DEEP = Setting("deep", (200, 200), 50, "tanh", 20)
FLOW = Setting("iaf", (200, 200), 50, "tanh", 100, "iaf:steps=2:hidden=320")


def images(root: Path | None) -> Dataset:
    """MNIST below `root`; without one, images of the same size, number and density of ink that are made up."""
    if root is not None:
        return data.load("mnist", data.DataConfig(data_root=root))
    draw = torch.Generator().manual_seed(0)
    bases = torch.nn.functional.interpolate(torch.rand(10, 1, 5, 5, generator=draw), 28, mode="bicubic")
    which = torch.randint(10, (70_000,), generator=draw)
    noise = 0.15 * torch.randn(70_000, 1, 28, 28, generator=draw)
    pixels = ((bases[which] + noise - 0.6).clamp(0, 1) * 600).clamp(0, 255).to(torch.uint8)
    return data.load({"train": pixels[:60_000], "test": pixels[60_000:]}, data.DataConfig(binarize="dynamic"))


def build(setting: Setting, dataset: Dataset, seed: int = 0) -> Pair:
    """The pair `vae` of these sizes."""
    variant = registry.variant("vae")
    options = {"hidden": setting.hidden, "latent_dim": setting.latent_dim, "activation": setting.activation}
    with seeded(seed):
        return variant.build(variant.config(**options), dataset.fields, registry.family(setting.guide))


def pixels(dataset: Dataset, device: torch.device | str = "cpu") -> Tensor:
    """The training images as they are stored, uint8 (N, 1, 28, 28), on the device."""
    stored = dataset.columns["train"]["x"]
    assert isinstance(stored, Tensor)
    return stored.to(device)


def held_out_images(dataset: Dataset, limit: int = 2000) -> Tensor:
    """Binarized test images, (limit, 784)."""
    return dataset.split("test", ("x",), limit)[0].flatten(1)
