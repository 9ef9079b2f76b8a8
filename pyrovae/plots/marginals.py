"""Columns of a table: what each holds and how they go together, of data against samples."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from pyrovae.errors import UsageError
from pyrovae.plots.figure import BLUE, GRAY, ORANGE, fences, figure_of, minus, plain, plain_numbers, save

CELL, LEFT, BELOW, ABOVE = 2.0, 0.85, 0.55, 0.75
"""Inches of a panel, and around all."""

MOST_BINS = 30
"""Of a histogram; so many whole numbers at most have a bin each."""

MOST_DOTS = 500
"""In a panel of pairs, as many samples as data; more hide each other."""


def marginals(
    data: Tensor | None, samples: Tensor, names: Sequence[str], path: str | os.PathLike[str], title: str = ""
) -> Path:
    """Writes a panel for each column, histograms of data and samples, and for each pair of columns their scatter.

    The limits of an axis hold nearly all of the values; the panel of a column says how many lie outside.

    Args:
        data: (N, columns), in the units of the data; None draws the samples alone.
        samples: (M, columns), in the same units.
        names: one for each column.
        path: the file to write.
        title: above all.

    Raises:
        UsageError: the columns are not as many as the names.
    """
    for each in (samples,) if data is None else (data, samples):
        if each.ndim != 2 or each.shape[1] != len(names) or not names:
            raise UsageError(f"{len(names)} columns are named for values of shape {tuple(each.shape)}")
    drawn = samples.detach().double().cpu().numpy()
    truth = None if data is None else data.detach().double().cpu().numpy()
    count = len(names)
    size = CELL * max(count, 2)
    wide, tall = LEFT + size + 0.15, BELOW + size + ABOVE + (0.25 if "\n" in title else 0)
    figure = figure_of(wide, tall, 110, layout=None)  # which would take seconds for fifteen panels
    place = {"left": LEFT / wide, "right": 1 - 0.15 / wide, "bottom": BELOW / tall, "top": (BELOW + size) / tall}
    cells = figure.add_gridspec(count, count, wspace=0.12, hspace=0.2, **place)
    every = drawn if truth is None else np.concatenate([truth, drawn])
    limits = []
    for column in every.T:
        low, high = fences(column)
        pad = 0.04 * (high - low) or max(1e-3 * abs(high), 1e-6)
        limits.append((low - pad, high + pad))
    for i in range(count):
        for j in range(i + 1):
            axes = figure.add_subplot(cells[i, j])
            if i == j:
                _column(axes, None if truth is None else truth[:, i], drawn[:, i], limits[i])
                axes.set_title(names[i], fontsize=9)
            else:
                _pair(axes, None if truth is None else truth[:, [j, i]], drawn[:, [j, i]])
                axes.set_ylim(limits[i])
                axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
                plain_numbers(axes.yaxis)
            axes.set_xlim(limits[j])
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            plain_numbers(axes.xaxis)
            plain(axes)
            axes.tick_params(labelsize=8, labelbottom=i == count - 1, labelleft=0 == j < i)
            if i == count - 1:
                axes.set_xlabel(names[j], fontsize=9)
            if 0 == j < i:
                axes.set_ylabel(names[i], fontsize=9)
    figure.align_ylabels()
    handles: list[Any] = [Patch(color=GRAY, alpha=0.55, label="data (histogram)")] if truth is not None else []
    handles += [Line2D([], [], color=ORANGE, lw=1.8, label="samples (histogram)")]
    if count > 1:
        handles += [Line2D([], [], color=BLUE, ls="", marker="o", ms=4, label="data")] if truth is not None else []
        handles += [Line2D([], [], color=ORANGE, ls="", marker="x", ms=5, label="samples")]
    corner = (1 - 0.1 / wide, (BELOW + size + (0.05 if count > 1 else 0.1)) / tall)
    figure.legend(handles=handles, frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=corner)
    if title:
        figure.suptitle(title, fontsize=11, y=1 - 0.12 / tall, va="top")
    return save(figure, path)


def _column(axes: Axes, data: np.ndarray | None, samples: np.ndarray, limits: tuple[float, float]) -> None:
    bins = _bins(
        samples if data is None else np.concatenate([data, samples]), len(samples if data is None else data), limits
    )
    looks: tuple[dict[str, Any], ...] = ({"color": GRAY, "alpha": 0.55}, {"color": ORANGE, "lw": 1.6})
    for values, look in zip((data, samples), looks, strict=True):
        if values is None:
            continue
        # A share of all, with those that lie outside of the limits.
        weights = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(values, bins.tolist(), weights=weights, histtype="stepfilled" if values is data else "step", **look)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(0, 1.22 * (axes.get_ylim()[1] / 1.05))
    outside = [
        f"{name} {minus(100 * share, 1)} %"
        for name, values in (("data", data), ("samples", samples))
        if values is not None and (share := float(((values < limits[0]) | (values > limits[1])).mean()))
    ]
    if outside:
        axes.text(
            0.99, 0.99, "\n".join(["outside:", *outside]), transform=axes.transAxes, ha="right", va="top", fontsize=7
        )


def _bins(values: np.ndarray, count: int, limits: tuple[float, float]) -> np.ndarray:
    """Of whole numbers one each where all values are whole: else numbers between would pass for these."""
    low, high = limits
    inside = values[(values >= low) & (values <= high)]
    if len(inside) and (inside == np.round(inside)).all() and high - low <= MOST_BINS:
        return np.arange(np.ceil(low) - 0.5, np.floor(high) + 1.5)
    return np.linspace(low, high, int(np.clip(2 * np.sqrt(max(count, 1)), 12, MOST_BINS)) + 1)


def _pair(axes: Axes, data: np.ndarray | None, samples: np.ndarray) -> None:
    count = min(MOST_DOTS, len(samples), len(samples) if data is None else len(data))
    size = float(np.clip(3000 / max(count, 1), 8, 20))
    looks: tuple[dict[str, Any], ...] = (
        {"color": ORANGE, "marker": "x", "alpha": 0.8, "linewidths": 0.9},
        {"color": BLUE, "marker": "o", "alpha": 0.6, "linewidths": 0},
    )
    for values, look in zip((samples, data), looks, strict=True):
        if values is not None:
            axes.scatter(values[:count, 0], values[:count, 1], s=size, **look)
