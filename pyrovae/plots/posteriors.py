"""True posteriors and the guides' beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from pyrovae.errors import UsageError
from pyrovae.plots.figure import figure_of, minus, save, two_lines

if TYPE_CHECKING:
    from pyrovae.evaluation.posterior import Posterior

MASSES = (0.99, 0.9, 0.5)
NEARLY = 0.9995
FILLS, LINE = ("#dbe9f6", "#9fc5e3", "#4a90c4"), "#b3410e"
CELL, LEAST, SIZE = 1.25, 3.2, 7
"""Inches of a cell and of the whole, which has room for the title; points of the letters."""


def posteriors(
    found: Sequence[Sequence[Posterior]],
    path: str | os.PathLike[str],
    guides: Sequence[str],
    columns: Sequence[str],
    axis_titles: tuple[str, str] = ("z₁", "z₂"),
    title: str | None = None,
) -> Path:
    """Writes a row a guide and a column a datum: p(z | x) filled, q(z | x) as lines, KL(q || p) in the corner.

    The contours hold 50, 90 and 99 % of the mass.

    Args:
        found: rows of columns; those of a column have one range.
        path: the file to write.
        guides: names of the rows.
        columns: names of the columns.
        axis_titles: of the two dimensions.
        title: above.

    Raises:
        UsageError: the names are not as many as rows and columns.
    """
    if len(found) != len(guides) or any(len(row) != len(columns) for row in found) or not guides or not columns:
        raise UsageError(f"{len(guides)} guides and {len(columns)} columns are named for other rows and columns")
    figure = figure_of(max(0.6 + CELL * len(columns), LEAST), 0.75 + CELL * len(guides), 200)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(len(guides), len(columns), squeeze=False, sharex="col", sharey="col")
    for i, row in enumerate(found):
        for j, posterior in enumerate(row):
            axes = grid[i, j]
            _cell(axes, posterior)
            axes.tick_params(labelsize=SIZE - 1.5, length=2, width=0.5, pad=1.5)
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            for spine in axes.spines.values():
                spine.set(lw=0.5)
            if i == 0:
                axes.set_title(columns[j], fontsize=SIZE, pad=3)
            if i == len(found) - 1:
                axes.set_xlabel(axis_titles[0], fontsize=SIZE, labelpad=1)
            if j == 0:
                axes.set_ylabel(f"{two_lines(guides[i], 20)}\n{axis_titles[1]}", fontsize=SIZE, labelpad=1)
    for j, column in enumerate(zip(*found, strict=True)):
        (left, right), (bottom, top) = _range(column)
        grid[0, j].set(xlim=(left, right), ylim=(bottom, top))  # shared down the column
    figure.align_ylabels(list(grid[:, 0]))
    handles = [Patch(color=FILLS[1], label="p(z | x)"), Line2D([], [], color=LINE, lw=0.9, label="q(z | x)")]
    look: dict[str, Any] = {"frameon": False, "fontsize": SIZE, "ncols": 2, "title_fontsize": SIZE}
    figure.legend(handles=handles, loc="outside upper center", title=title, **look)
    return save(figure, path)


def _cell(axes: Axes, posterior: Posterior) -> None:
    across, up = (axis.numpy() for axis in posterior.axes)
    p, levels = _density(posterior.log_p)
    axes.contourf(across, up, p.T, [*levels, np.inf], colors=FILLS)
    q, levels = _density(posterior.log_q)
    axes.contour(across, up, q.T, levels, colors=LINE, linewidths=0.7)
    text = "KL ?" if posterior.kl is None else f"KL {minus(max(posterior.kl, 0.0))}"
    box = {"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.8}
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "top"}
    axes.annotate(text, (1, 1), (-2, -2), fontsize=SIZE - 1, bbox=box, **place)


def _range(column: Sequence[Posterior]) -> list[tuple[float, float]]:
    """Of each dimension, what holds nearly all of the mass of all p and q of a column."""
    ends: list[list[float]] = [[], []]
    for posterior in column:
        for log_density in (posterior.log_p, posterior.log_q):
            density, levels = _density(log_density, (NEARLY,))
            for which, axis in enumerate(posterior.axes):
                held = axis.numpy()[(density >= levels[0]).any(1 - which)]
                ends[which] += [held.min(), held.max()]
    margins = [0.03 * (max(values) - min(values)) for values in ends]
    return [(min(values) - margin, max(values) + margin) for values, margin in zip(ends, margins, strict=True)]


def _density(log_density: Tensor, masses: Sequence[float] = MASSES) -> tuple[np.ndarray, list[float]]:
    """The density up to a factor, and the levels above which it has `masses` of its sum, each above the one before."""
    density = (log_density - log_density.max()).exp().numpy()
    falling = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(falling) / falling.sum()
    levels: list[float] = []
    for share in masses:
        level = float(falling[min(int(np.searchsorted(mass, share)), falling.size - 1)])
        levels.append(max(level, 1e-12 if not levels else levels[-1] * (1 + 1e-9)))
    return density, levels
