"""A grid of images."""

import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from torch import Tensor

from pyrovae.errors import UsageError
from pyrovae.plots.figure import figure_of, save

BLANK = 0.9  # the gray of a cell without an image
GRID_DPI = 128  # a power of two: pixels / dpi * dpi is exact, so no pixel is lost to rounding


def image_grid(
    images: Tensor,
    path: str | os.PathLike[str],
    column_titles: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    title: str | None = None,
    side: int = 360,
) -> Path:
    """Writes a grid of images, every pixel a square of the same whole size.

    Args:
        images: values in [0, 1], shape (rows, columns, C, H, W), C = 1 (gray) or 3 (RGB); NaN is blank.
        path: the file to write.
        column_titles: one for each column; shortened where they do not fit.
        row_titles: one for each row.
        title: above all, on as many lines as it has.
        side: pixels of an image, at most; fewer where the grid would not fit a screen.

    Raises:
        UsageError: a shape or a number of titles does not fit.
    """
    if images.ndim != 5 or images.shape[2] not in (1, 3) or 0 in images.shape:
        raise UsageError(f"images have shape {tuple(images.shape)}, not (rows, columns, 1 or 3, height, width)")
    rows, columns, _, height, width = images.shape
    for what, titles, count in (("column", column_titles, columns), ("row", row_titles, rows)):
        if titles is not None and len(titles) != count:
            raise UsageError(f"there are {len(titles)} {what} titles for {count} {what}s of images")

    cells, gap = enlarged(images.detach().float().cpu(), min(1200, side * columns), min(1400, side * rows), side)
    canvas = canvas_of(cells, gap)
    height, width = cells.shape[-2:]
    across = Titles(column_titles or (), width)
    down = Titles(row_titles or (), 280, height)
    margin = 12
    left = margin + (down.width + 8 if row_titles else 0)
    heading = Titles(title.split("\n") if title else (), 1600, size=17)
    above = margin + (6 + 24 * len(heading.texts) if title else 0) + (across.size + 8 if column_titles else 0)
    full_width = max(left + canvas.shape[1] + margin, heading.width + 2 * margin, 240)
    full_height = above + canvas.shape[0] + margin
    left += (full_width - left - canvas.shape[1] - margin) // 2
    figure = figure_of(full_width / GRID_DPI, full_height / GRID_DPI, GRID_DPI, layout=None)
    figure.figimage(canvas, left, margin, origin="upper")

    def write(text: str, x: float, y: float, size: float, horizontal: str, vertical: str) -> None:
        place: dict[str, Any] = {
            "ha": horizontal,
            "va": vertical,
            "fontsize": size * 72 / GRID_DPI,
            "parse_math": False,
        }
        figure.text(x / full_width, 1 - y / full_height, text, **place)

    for i, text in enumerate(heading.texts):
        write(text, full_width / 2, margin + 24 * i, heading.size, "center", "top")
    for j, text in enumerate(across.texts):
        write(text, left + j * (width + gap) + width / 2, above - 6, across.size, "center", "baseline")
    for i, text in enumerate(down.texts):
        write(text, left - 8, above + i * (height + gap) + height / 2, down.size, "right", "center")
    return save(figure, path)


def canvas_of(cells: Tensor, gap: int) -> np.ndarray:
    """The cells on white, `gap` pixels apart: uint8 (height, width, 3)."""
    rows, columns, _, height, width = cells.shape
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    pixels = (cells.nan_to_num(BLANK).clamp(0, 1) * 255).round().byte()
    pixels = pixels.expand(rows, columns, 3, height, width).permute(0, 1, 3, 4, 2)  # (rows, columns, H, W, 3)
    for i in range(rows):
        for j in range(columns):
            y, x = i * (height + gap), j * (width + gap)
            canvas[y : y + height, x : x + width] = pixels[i, j].numpy()
    return canvas


def enlarged(images: Tensor, most_wide: int, most_high: int, side: int = 360) -> tuple[Tensor, int]:
    """`images` enlarged by the greatest whole factor that keeps the grid in bounds and an image within `side`, or
    shrunk; and the gap."""
    rows, columns, _, height, width = images.shape
    gap = 2 if columns > 10 or rows > 10 else 4
    factor = min((most_wide - gap * columns) / (columns * width), (most_high - gap * rows) / (rows * height))
    if factor >= 1:
        whole = min(int(factor), max(1, side // max(height, width)))  # a single digit need not fill the screen
        return images.repeat_interleave(whole, -2).repeat_interleave(whole, -1), gap
    size = (max(1, int(height * factor)), max(1, int(width * factor)))
    small = torch.nn.functional.interpolate(images.flatten(0, 1), size, mode="area")
    return small.unflatten(0, (rows, columns)), gap


@functools.lru_cache(maxsize=4096)
def _width(text: str, size: int) -> float:
    """Pixels of a text, whose letters are `size` of them high."""
    renderer = FigureCanvasAgg(Figure((0.1, 0.1), dpi=GRID_DPI)).get_renderer()  # type: ignore[no-untyped-call]
    font = FontProperties(size=size * 72 / GRID_DPI)
    width: float = renderer.get_text_width_height_descent(text, font, ismath=False)[0]
    return width


class Titles:
    """Texts in one size, in pixels, at which they fit `room`; those that cannot are shortened."""

    def __init__(self, texts: Sequence[str], room: int, height: int = 100, size: int = 13) -> None:
        self.size = max(6, min(size, height))
        while self.size > 10 and self._widest(texts) > room:
            self.size -= 1
        self.texts = [self._shorten(text, room) for text in texts]
        self.width = math.ceil(self._widest(self.texts))

    def _widest(self, texts: Sequence[str]) -> float:
        return max(map(self._measure, texts), default=0)

    def _measure(self, text: str) -> float:
        return _width(text, self.size)

    def _shorten(self, text: str, room: int) -> str:
        """Leaves out the middle: what tells one title from the next is often the number at its end."""
        short, keep = text, len(text) - 1
        while keep > 0 and self._measure(short) > room:
            tail = keep // 3
            short = text[: keep - tail].rstrip() + "…" + text[len(text) - tail :]
            keep -= 1
        return short
