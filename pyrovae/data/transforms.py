"""What happens to stored rows on their way to a pair: pixels to floats, binarization, trimming, quadrants."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from pyrovae.data.dataset import Columns, Dataset
from pyrovae.data.field import Field
from pyrovae.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Scale:
    """Whole-number pixels -> float32 in [0, 1]."""

    field: str
    divisor: float

    def __call__(self, columns: Columns) -> Columns:
        return {**columns, self.field: columns[self.field].to(torch.float32) / self.divisor}


@dataclasses.dataclass(frozen=True)
class Binarize:
    """x ~ Bernoulli(pixel), drawn anew at every call from torch's global generator (Salakhutdinov & Murray, 2008)."""

    field: str

    def __call__(self, columns: Columns) -> Columns:
        x = columns[self.field]
        # torch.bernoulli takes 2.6 times as long: 0.62 ms for 128 images of MNIST (taken once).
        return {**columns, self.field: (torch.rand_like(x) < x).to(x.dtype)}


@dataclasses.dataclass(frozen=True)
class Trim:
    """Cuts the trailing positions at which every sentence of the batch is padding, so that no GRU goes over them; one
    position always stays."""

    field: str
    pad: int

    def __call__(self, columns: Columns) -> Columns:
        return {**columns, self.field: trim(columns[self.field], self.pad)}


def trim(x: Tensor, pad: int) -> Tensor:
    """Sentences (N, T) without the last positions that are padding in all of them; one position always stays."""
    used = (x != pad).any(0).nonzero()  # (positions in use, 1)
    return x[:, : int(used.max()) + 1 if len(used) else 1]


@dataclasses.dataclass(frozen=True)
class Quadrants:
    """y = (x * mask, mask): the given quadrants of the image that was drawn, and where they are.

    `given` counts quadrants as the CVAE example of Pyro does: 1 gives the bottom left, 2 the left half, 3 everything
    but the bottom right. Rows from H // 2 on are the bottom, columns below W // 2 the left.
    (Sohn, Lee & Yan, Learning Structured Output Representation using Deep Conditional Generative Models, 2015.)
    """

    given: int
    field: str = "x"
    into: str = "y"

    def mask(self, height: int, width: int) -> Tensor:
        """`(H, W)`: 1 where the pixel is given."""
        mask = torch.zeros(height, width)
        mask[height // 2 :, : width // 2] = 1
        if self.given == 2:
            mask[:, : width // 2] = 1
        if self.given == 3:
            mask[: height // 2] = 1
        return mask

    def __call__(self, columns: Columns) -> Columns:
        x = columns[self.field]  # (B, C, H, W)
        mask = self.mask(*x.shape[-2:]).to(x).expand(len(x), 1, *x.shape[-2:])
        return {**columns, self.into: torch.cat([x * mask, mask], 1)}  # (B, C + 1, H, W)


def with_quadrants(dataset: Dataset, given: int) -> Dataset:
    """The same images with y = the given quadrants and their mask, `(C + 1, H, W)`; labels, if any, are left out.

    y is made from x after all other transforms: where pixels are drawn, x and y of a batch agree.

    Raises:
        UsageError: `given` is not 1, 2 or 3, or x is no image of at least 2x2.
    """
    if given not in (1, 2, 3):
        raise UsageError(f"quadrants = {given}: give 1, 2 or 3")
    x = dataset.fields.get("x")
    if x is None or not x.is_image or min(x.shape[1:]) < 2:
        raise UsageError(f"quadrants need images of at least 2x2, and data '{dataset.name}' has none: take other data")
    channels, height, width = x.shape
    y = Field(shape=(channels + 1, height, width), kind="partial", of="x")
    return dataclasses.replace(
        dataset,
        fields={**dataset.fields, "y": y},
        columns={
            split: {name: column for name, column in columns.items() if name != "y"}
            for split, columns in dataset.columns.items()
        },
        transforms=(*dataset.transforms, Quadrants(given)),
        description={**dataset.description, "quadrants": given},
    )
