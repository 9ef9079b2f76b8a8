"""Latent sites, a panel each: posterior means in two dimensions, or what each class is taken for."""

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline
from torch import Tensor

from pyrovae.errors import UsageError
from pyrovae.plots.figure import BLUE, GREEN, ORANGE, RED, fences, figure_of, plain, plain_numbers, save

COLOURS = (BLUE, ORANGE, GREEN, RED, "#cc79a7", "#56b4e9", "#222222", "#8a8a8a")
MARKERS = "osDPX*d"
"""Of classes, in turn, as many as have no divisor in common with the colours; triangles point to what lies outside."""

WIDE, HIGH = 6.2, 5.6
"""Inches of a panel."""

TALL = 0.9
"""Height of a scatter for each width."""

UNLIKE = 2.5
"""How many times wider one axis may be than the other before each has a scale of its own."""


@dataclasses.dataclass(frozen=True)
class Scatter:
    """One latent site in two dimensions.

    Attributes:
        points: (N, 2).
        axes: titles of the two.
        title: above the panel.
    """

    points: Tensor
    axes: tuple[str, str] = ("z₁", "z₂")
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Shares:
    """A latent site of classes.

    Attributes:
        shares: (N, classes), q of each datum.
        axes: titles below and at the left.
        title: above the panel.
    """

    shares: Tensor
    axes: tuple[str, str]
    title: str = ""


def latents(
    panels: Sequence[Scatter | Shares],
    labels: Tensor | None,
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    title: str = "",
    legend: str = "label",
) -> Path:
    """Writes a panel a latent site.

    A scatter shows nearly all points; those that lie far off are triangles at its edge, which point to them.

    Args:
        panels: what is drawn, from left to right in rows of two.
        labels: shape (N,); whole numbers are classes with a legend, floats a colour bar; None is one colour.
        path: the file to write.
        names: the classes' names, by number.
        title: above all.
        legend: title of the legend or the colour bar.

    Raises:
        UsageError: a shape does not fit, or there is no panel.
    """
    if not panels:
        raise UsageError("there is no latent site to draw")
    for each in panels:
        points = each.points if isinstance(each, Scatter) else each.shares
        if points.ndim != 2 or (isinstance(each, Scatter) and points.shape[1] != 2):
            raise UsageError(f"points have shape {tuple(points.shape)}, not (N, 2)")
        if labels is not None and labels.shape != points.shape[:1]:
            raise UsageError(f"labels have shape {tuple(labels.shape)} for {len(points)} points, not ({len(points)},)")
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    figure = figure_of(WIDE * columns + (0 if labels is None else 1.4), HIGH * rows + (0.4 if title else 0), 120)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    classes = None if labels is None or labels.is_floating_point() else _Classes(labels, names)
    for axes, each in zip(grid, panels, strict=False):
        if isinstance(each, Scatter):
            _scatter(axes, each.points, labels, classes)
        else:
            _shares(figure, axes, each.shares, classes, names)
        axes.set(xlabel=each.axes[0], ylabel=each.axes[1])
        axes.set_title(each.title, fontsize=11)
    for axes in grid[len(panels) :]:
        axes.remove()
    scatters = [axes for axes, each in zip(grid, panels, strict=False) if isinstance(each, Scatter)]
    if classes is not None and scatters:
        classes.explain(figure, legend)
    elif labels is not None and scatters:
        shown = scatters[0].collections[0]
        figure.colorbar(
            ScalarMappable(shown.norm, shown.cmap), ax=scatters, shrink=0.85, label=legend
        )  # not `shown`, which is pale
    if title:
        figure.suptitle(title, fontsize=13)
    return save(figure, path)


class _Classes:
    """Classes of data: which a datum has, and how each looks."""

    def __init__(self, labels: Tensor, names: Sequence[str] | None) -> None:
        self.values, self.index = np.unique(labels.detach().long().cpu().numpy(), return_inverse=True)
        count = len(self.values)
        self.colours = [COLOURS[i % len(COLOURS)] for i in range(count)]
        if count > len(COLOURS) * len(MARKERS):
            self.colours = [to_hex(each) for each in colormaps["viridis"](np.linspace(0, 1, count))]
        self.marks = [MARKERS[i % len(MARKERS)] for i in range(count)]
        self.texts = [called(value, names) for value in self.values]

    def explain(self, figure: Figure, title: str) -> None:
        """The legend at the right."""
        looks = zip(self.texts, self.colours, self.marks, strict=True)
        handles = [
            Line2D([], [], ls="", ms=6, mew=0, color=look, marker=mark, label=text) for text, look, mark in looks
        ]
        look: dict[str, Any] = {"frameon": False, "fontsize": "medium", "ncols": math.ceil(len(handles) / 22)}
        figure.legend(handles=handles, loc="outside right center", title=title, **look)


def called(value: int, names: Sequence[str] | None) -> str:
    """The name of a class; its number where it has none."""
    return names[value] if names is not None and 0 <= value < len(names) else str(value)


def _scatter(axes: Axes, points: Tensor, labels: Tensor | None, classes: _Classes | None) -> None:
    found = points.detach().double().cpu().numpy()
    (left, right), (bottom, top) = (_limits(found[:, i]) for i in (0, 1))
    across, up = right - left, top - bottom
    if max(across, up) <= UNLIKE * min(across, up):  # one scale
        more = max(0.0, up / TALL - across) / 2, max(0.0, across * TALL - up) / 2
        left, right, bottom, top = left - more[0], right + more[0], bottom - more[1], top + more[1]
    axes.set_box_aspect(TALL)
    x, y = found[:, 0].clip(left, right), found[:, 1].clip(bottom, top)
    size = float(np.clip(25000 / max(len(found), 1), 4, 36))
    look: dict[str, Any] = {"linewidths": 0, "alpha": 0.8, "rasterized": len(x) > 5000}  # a pdf of 60,000 dots is slow
    if classes is not None:
        look["c"] = [classes.colours[i] for i in classes.index]
    elif labels is not None:
        look |= {"c": labels.detach().double().cpu().numpy(), "cmap": "viridis"}
    else:
        look["color"] = BLUE
    dots = axes.scatter(x, y, s=size, **look)  # in one call, so that no class lies on top of all others
    outside = np.array([_beyond(point, left, right, bottom, top) for point in found])
    marks = ["o"] * len(x) if classes is None else [classes.marks[i] for i in classes.index]
    _set_marks(dots, [mark or own for mark, own in zip(outside, marks, strict=True)], size, outside)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    if count := int((outside != "").sum()):
        text = f"{count} of {len(x)} data {'lies' if count == 1 else 'lie'} outside: a triangle at the edge"
        axes.annotate(
            text, (0, 0), (0, -38), "axes fraction", "offset points", va="top", fontsize="small", color="#444444"
        )
    plain(axes)
    axes.grid(alpha=0.2, lw=0.6)
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = fences(values)
    pad = 0.05 * (high - low) or max(1e-3 * abs(high), 1e-6)
    return low - pad, high + pad


def _beyond(point: np.ndarray, left: float, right: float, bottom: float, top: float) -> str:
    """The triangle that points to where a point lies; empty of one inside."""
    x, y = point
    if left <= x <= right:
        return "" if bottom <= y <= top else "v" if y < bottom else "^"
    return "<" if x < left else ">"


def _set_marks(dots: PathCollection, marks: Sequence[str], size: float, outside: np.ndarray) -> None:
    """Gives each point of a scatter a mark of its own; those outside are larger, and whole at the edge."""
    styles = {mark: MarkerStyle(mark) for mark in set(marks)}
    outlines: dict[str, Outline] = {
        mark: style.get_path().transformed(style.get_transform()) for mark, style in styles.items()
    }
    dots.set_paths([outlines[mark] for mark in marks])
    dots.set_sizes(np.where(outside != "", max(2.5 * size, 40), size))
    if (outside != "").any():
        dots.set_clip_on(False)


def _shares(figure: Figure, axes: Axes, shares: Tensor, classes: _Classes | None, names: Sequence[str] | None) -> None:
    """Mean q of the data of each label, a row each; of all data where there is no label."""
    found = shares.detach().double().cpu().numpy()
    rows = (
        [found.mean(0)] if classes is None else [found[classes.index == i].mean(0) for i in range(len(classes.values))]
    )
    shown = axes.imshow(np.stack(rows), cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    figure.colorbar(shown, ax=axes, shrink=0.85, label="mean over the data of the row")
    axes.set_yticks(np.arange(len(rows)), ["all data"] if classes is None else classes.texts)
    count = found.shape[1]
    ticks = np.arange(count) if count <= 30 else np.arange(0, count, math.ceil(count / 20))
    texts = [called(int(i), names) for i in ticks]
    axes.set_xticks(ticks, texts, rotation=90 if max(map(len, texts)) > 3 else 0)
    if count <= 12 and len(rows) <= 12:
        for i, row in enumerate(rows):
            for j, share in enumerate(row):
                if share >= 0.005:
                    colour = "white" if share > 0.5 else "#222222"
                    axes.text(j, i, f"{share:.2f}", ha="center", va="center", fontsize="small", color=colour)
