"""What pixels and other numbers are: how they are stored, scaled and binarized, and the Field they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pyrovae.data.dataset import SPLITS, Split, Transform
from pyrovae.data.field import Field, Kind
from pyrovae.data.stored import Column, Stored, moments_of, summarize, total_of
from pyrovae.data.transforms import Binarize, Scale
from pyrovae.errors import UsageError, option

BySplit = dict[Split, Column]
Mode = Literal["auto", "dynamic", "static", "threshold", "none"]
CHUNK = 4096
"""Data that are made together. The bits of `static` depend on it."""


@dataclasses.dataclass(frozen=True)
class Numbers:
    """One field of numbers in all splits, as it is stored: value = column / divisor.

    Attributes:
        name: of the field.
        column: uint8 or float32 by split, `(N, D)` or `(N, C, H, W)`; that of train may be on the disk.
        divisor: 1 where the column holds the values themselves.
        kind: `binary`, `unit` or `real`.
    """

    name: str
    column: BySplit
    divisor: float
    kind: Kind

    @property
    def first(self) -> Column:
        """The first split there is: train, of data that are trained on."""
        return next(iter(self.column.values()))

    @classmethod
    def of(cls, name: str, column: Mapping[Split, Column], divisor: float) -> Numbers:
        """Finds dtype and kind: 0/1 are bits; whole numbers 0..255 that are uint8 or in images stay bytes.

        Images that are not all decoded before training are gray or colour, whatever the first of them are.

        Args:
            name: of the field.
            column: by split.
            divisor: of these bytes: 255 where they are pixels, 1 where they are numbers.
        """
        if any(isinstance(part, Stored) and part.costly for part in column.values()):
            return cls(name, dict(column), divisor, "unit" if divisor > 1 else "real")
        found = [summarize(part) for part in column.values()]
        low, high = min(part.low for part in found), max(part.high for part in found)
        if all(part.bits for part in found):
            return cls(name, {split: part.to(torch.uint8) for split, part in column.items()}, 1.0, "binary")
        first = next(iter(column.values()))
        if first.is_floating_point() or (
            first.dtype == torch.int64 and not (first.dim() == 4 and 0 <= low <= high <= 255)
        ):
            kind: Kind = "unit" if 0 <= low <= high <= 1 else "real"
            return cls(name, {split: part.to(torch.float32) for split, part in column.items()}, 1.0, kind)
        kind = "unit" if high <= divisor else "real"
        return cls(name, {split: part.to(torch.uint8) for split, part in column.items()}, divisor, kind)

    def resized(self, size: int | None, data: str) -> Numbers:
        """Images of `size` x `size` (bilinear, antialiased); itself where they are, or where `size` is None."""
        first = self.first
        if size is None or tuple(first.shape[2:]) == (size, size):
            return self
        if first.dim() != 4 or self.kind == "binary":
            what = "binary images, which cannot be resized" if first.dim() == 4 else "vectors, not images"
            raise UsageError(f"{option('image_size', size)}: data '{data}' holds {what}: leave the option out")
        column: BySplit = {}
        for split, part in self.column.items():
            if isinstance(part, Stored):
                raise UsageError(
                    f"{option('image_size', size)}: data '{data}' are streamed at {first.shape[2]}x{first.shape[3]}: "
                    f"save them at that size, give a folder of images, or hold them in memory, "
                    f"{option('stream', False)}"
                )
            column[split] = _resize(part, size)
        return dataclasses.replace(self, column=column)

    def binarized(self, mode: Mode, seed: int, data: str) -> tuple[Numbers, Mode]:
        """As `mode` (not auto) says, and what was done: bits stay as they are; dynamic leaves the pixels gray."""
        if self.kind == "binary" or mode == "none":
            return self, "none"
        if self.kind == "real":
            low = min(summarize(part).low for part in self.column.values())
            high = max(summarize(part).high for part in self.column.values())
            pixels = "" if self.first.is_floating_point() else f", or give {option('pixels', True)}"
            raise UsageError(
                f"{option('binarize', mode)}: {self.name} of data '{data}' lies in [{low:g}, {high:g}]: scale it to "
                f"[0, 1] first{pixels}"
            )
        if mode == "dynamic":
            return dataclasses.replace(self, kind="binary"), mode
        column: BySplit = {}
        for number, split in enumerate(SPLITS):
            if split not in self.column:
                continue
            part = self.column[split]
            if isinstance(part, Stored):
                if mode == "static":
                    raise UsageError(
                        f"{option('binarize', mode)}: data '{data}' are streamed, and bits that are drawn once must be "
                        f"held in memory: take dynamic or threshold, or {option('stream', False)}"
                    )
                column[split] = part.map(partial(above_half, divisor=self.divisor), torch.uint8)
                continue
            bits = column[split] = torch.empty_like(part, dtype=torch.uint8)
            # A generator for each split: the bits of test do not depend on how many are trained on.
            generator = torch.Generator().manual_seed(seed + number)
            for start in range(0, len(part), CHUNK):
                stored = part[start : start + CHUNK]
                if mode == "static":
                    value = stored.to(torch.float32) / self.divisor
                    bits[start : start + CHUNK] = torch.bernoulli(value, generator=generator)
                else:
                    bits[start : start + CHUNK] = above_half(stored, self.divisor)
        return Numbers(self.name, column, 1.0, "binary"), mode

    def field(self, standardize: bool | None) -> Field:
        """Shape and kind, with mean and deviation of train.

        Args:
            standardize: vectors of numbers that are not binary; None: of those that are not in [0, 1], either.
        """
        train, shape = self.column["train"], tuple(self.column["train"].shape[1:])
        if self.kind == "binary":
            total, count = total_of(train)
            return Field(shape, self.kind, mean=(total / (count * self.divisor)).to(torch.float32))
        mean, deviation = (each.to(torch.float32) for each in moments_of(train, self.divisor))
        vector = len(shape) == 1 and (self.kind == "real" or bool(standardize)) and standardize is not False
        return Field(shape, self.kind, standardized=vector, mean=mean, deviation=deviation)

    def transforms(self, mode: Mode) -> list[Transform]:
        """What makes a batch of stored rows."""
        scale: list[Transform] = [Scale(self.name, self.divisor)] if self.first.dtype == torch.uint8 else []
        return [*scale, Binarize(self.name)] if mode == "dynamic" else scale


def above_half(stored: Tensor, divisor: float) -> Tensor:
    """Bits, uint8, of stored pixels: whether each is above 0.5."""
    return (stored.to(torch.float32) / divisor > 0.5).to(torch.uint8)


def _resize(images: Tensor, size: int) -> Tensor:
    parts = []
    for part in images.split(CHUNK):
        small = interpolate(part.to(torch.float32), (size, size), mode="bilinear", antialias=True)
        small = small.clamp(float(images.min()), float(images.max()))  # rounding goes beyond both by a little
        parts.append(small.round().to(torch.uint8) if images.dtype == torch.uint8 else small)
    return torch.cat(parts)
