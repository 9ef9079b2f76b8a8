"""Posterior means in two dimensions."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from torch import Tensor

from pyrovae.errors import UsageError
from pyrovae.plots.figure import BLUE, figure_of, plain, save


def latents(
    points: Tensor,
    labels: Tensor | None,
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    axis_titles: tuple[str, str] = ("z₁", "z₂"),
    title: str | None = None,
) -> Path:
    """Writes a scatter of latent points.

    Args:
        points: shape (N, 2).
        labels: shape (N,); whole numbers are classes with a legend, floats a colour bar; None is one colour.
        path: the file to write.
        names: the classes' names, by number.
        axis_titles: below and at the left.
        title: above.

    Raises:
        UsageError: a shape does not fit.
    """
    if points.ndim != 2 or points.shape[1] != 2:
        raise UsageError(f"points have shape {tuple(points.shape)}, not (N, 2)")
    if labels is not None and labels.shape != points.shape[:1]:
        raise UsageError(f"labels have shape {tuple(labels.shape)} for {len(points)} points, not ({len(points)},)")
    x, y = points.detach().double().cpu().numpy().T
    look: dict[str, Any] = {"s": float(np.clip(25000 / max(len(x), 1), 3, 36)), "linewidths": 0, "alpha": 0.75}
    look["rasterized"] = len(x) > 5000  # a pdf of 60,000 vector dots is slow to turn the page

    figure = figure_of(9, 7, 120)
    axes = figure.add_subplot()
    if labels is None:
        axes.scatter(x, y, color=BLUE, **look)
    elif labels.is_floating_point():
        dots = axes.scatter(x, y, c=labels.detach().double().cpu().numpy(), cmap="viridis", **look)
        figure.colorbar(ScalarMappable(dots.norm, dots.cmap), ax=axes, shrink=0.85)  # `dots` itself would be pale
    else:
        classes, index = np.unique(labels.detach().long().cpu().numpy(), return_inverse=True)
        colours = _colours(len(classes))
        axes.scatter(x, y, color=colours[index], **look)  # in one call, so that no class lies on top of all others
        texts = [names[c] if names is not None and 0 <= c < len(names) else str(c) for c in classes]
        handles = [Line2D([], [], marker="o", ls="", color=colours[i], label=text) for i, text in enumerate(texts)]
        columns = math.ceil(len(handles) / 28)
        figure.legend(handles=handles, loc="outside right center", frameon=False, ncols=columns, fontsize="small")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xlabel=axis_titles[0], ylabel=axis_titles[1], title=title or "")
    plain(axes)
    return save(figure, path)


def _colours(count: int) -> np.ndarray:
    """`count` colours that differ, shape (count, 4)."""
    if count <= 20:
        return colormaps["tab10" if count <= 10 else "tab20"](np.arange(count))
    return colormaps["turbo"](np.linspace(0.03, 0.97, count))
