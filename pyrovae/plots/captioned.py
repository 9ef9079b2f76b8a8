"""Groups of images with a caption below each."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pyrovae.errors import UsageError
from pyrovae.plots.figure import figure_of, save
from pyrovae.plots.grid import GRID_DPI, Titles, canvas_of, enlarged

SIDE = 128
"""Pixels of an image, at most and nearly, however many there are."""

LINE, MARGIN, BETWEEN = 19, 14, 28
"""Pixels of a line of a caption, around all, between groups."""

MOST = 16
"""Captions whose widths are measured; the others are taken for as wide."""


def captioned(
    images: Tensor,
    captions: Sequence[str],
    path: str | os.PathLike[str],
    column_titles: Sequence[str],
    title: str,
) -> Path:
    """Writes groups of images in rows, each with its caption; the picture grows with their number, the images do not.

    Args:
        images: values in [0, 1], shape (groups, K, C, H, W), C = 1 (gray) or 3 (RGB).
        captions: one for each group, of as many lines each.
        path: the file to write.
        column_titles: one for each of the K images of a group.
        title: above all.

    Raises:
        UsageError: a shape or a number of captions does not fit.
    """
    if images.ndim != 5 or images.shape[2] not in (1, 3) or 0 in images.shape:
        raise UsageError(f"images have shape {tuple(images.shape)}, not (groups, K, 1 or 3, height, width)")
    n, many = images.shape[:2]
    if len(captions) != n or len(column_titles) != many:
        told = f"{len(captions)} captions and {len(column_titles)} column titles"
        raise UsageError(f"there are {told} for {n} groups of {many} images")
    cells, gap = enlarged(images.detach().float().cpu(), SIDE * many, SIDE * n)
    groups = [canvas_of(each.unsqueeze(0), gap) for each in cells]
    high, inner = groups[0].shape[:2]
    lines = [text.split("\n") for text in captions]
    depth = max(map(len, lines))
    widest = Titles([line for each in lines[:MOST] for line in each], 10**6).width
    across = min(
        n, max(1, round(math.sqrt(n * (high + depth * LINE + BETWEEN) / (max(inner, widest) + BETWEEN) * 1.3)))
    )
    down = math.ceil(n / across)
    step_x, step_y = max(inner, widest) + BETWEEN, high + depth * LINE + BETWEEN
    above = MARGIN + 34 + LINE
    heading = Titles((title,), 1600, size=17)
    width = max(2 * MARGIN + across * step_x - BETWEEN, heading.width + 2 * MARGIN, 240)
    height = above + down * step_y - BETWEEN + MARGIN
    start = (width - across * step_x + BETWEEN) // 2
    canvas = np.full((height, width, 3), 255, np.uint8)
    figure = figure_of(width / GRID_DPI, height / GRID_DPI, GRID_DPI, layout=None)

    def write(text: str, x: float, y: float, size: float, **place: Any) -> None:
        figure.text(x / width, 1 - y / height, text, fontsize=size * 72 / GRID_DPI, parse_math=False, **place)

    write(heading.texts[0], width / 2, MARGIN, heading.size, ha="center", va="top")
    for i, (group, text) in enumerate(zip(groups, lines, strict=True)):
        row, column = divmod(i, across)
        x, y = start + column * step_x, above + row * step_y
        canvas[y : y + high, x : x + inner] = group
        for j, line in enumerate(text):
            write(line, x, y + high + 4 + (j + 1) * LINE - 6, 13, ha="left", va="baseline")
        if row == 0:
            cell = cells.shape[-1]
            for j, name in enumerate(column_titles):
                write(name, x + j * (cell + gap) + cell / 2, y - 6, 13, ha="center", va="baseline")
    figure.figimage(canvas, 0, 0, origin="upper", zorder=-1)
    return save(figure, path)
