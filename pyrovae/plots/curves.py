"""ELBO, rate and distortion over the epochs."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pyrovae.plots.figure import BLUE, MINUS, ORANGE, RED, figure_of, number, plain, plain_numbers, save

PARTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("training", "", {"color": BLUE, "marker": "o", "ls": "-"}),
    ("held-out", "valid_", {"color": ORANGE, "marker": "s", "ls": "dashed"}),
)
"""Name, what stands before the key in metrics.jsonl, look."""


@dataclasses.dataclass(frozen=True)
class Terms:
    """What the three figures are of a pair, in its letters."""

    elbo: str = "ELBO, a lower bound of log p(x)"
    rate: str = "Rate: KL(q(z | x) ‖ p(z))"
    distortion: str = f"Distortion: {MINUS}E log p(x | z)"


def curves(
    metrics: Sequence[Mapping[str, float | None]],
    path: str | os.PathLike[str],
    title: str = "",
    terms: Terms | None = None,
) -> Path:
    """Writes the training curves: the ELBO of training and held-out data on the left, rate and distortion on the right.

    Values far off the others stand as triangles at the edge of their panel, and those that are not finite as crosses at
    its bottom.

    Args:
        metrics: the objects of metrics.jsonl, in nats; a value may be NaN, None or missing, as the held-out rate is in
            those of earlier versions.
        path: the file to write.
        title: above all.
        terms: titles of the panels.
    """
    figure = figure_of(11, 5, 120)
    panels = figure.subplot_mosaic([["elbo", "rate"], ["elbo", "distortion"]], width_ratios=[1.5, 1])
    epochs = np.array([row.get("epoch", i + 1) for i, row in enumerate(metrics)], float)
    first, last = (epochs.min(), epochs.max()) if len(epochs) else (0, 1)
    pad = 0.03 * (last - first) or 1
    handles = [Line2D([], [], lw=1.5, ms=4.5, label=name, **look) for name, _, look in PARTS]
    for key, axes in panels.items():
        rows = {
            name: [row.get((before or "train_" if key == "elbo" else before) + key, ...) for row in metrics]
            for name, before, _ in PARTS
        }
        values = {name: np.array([number(None if each is ... else each) for each in row]) for name, row in rows.items()}
        for name, _, look in PARTS:
            style = look | {"marker": look["marker"] if len(epochs) <= 30 else ""}
            axes.plot(epochs, values[name], ms=4, lw=1.5, label=name, **style)
        _limit(axes, np.concatenate(list(values.values())), upwards=key == "elbo")
        axes.set_xlim(first - pad, last + pad)
        handles += _outside(axes, epochs, rows, key)
        plain(axes)
        axes.grid(alpha=0.25, lw=0.6)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        plain_numbers(axes.yaxis)
        axes.set_title(getattr(terms or Terms(), key), fontsize=11)
        axes.set_ylabel("nats per datum")
        if key != "rate":
            axes.set_xlabel("epoch")
        if key == "elbo" and np.isfinite(values["held-out"]).any():
            best = int(np.nanargmax(values["held-out"]))
            label = f"best held-out: {_rounded(values['held-out'][best], 2)} (epoch {epochs[best]:g})"
            star: dict[str, Any] = {"color": RED, "marker": "*", "ms": 14, "mec": "white", "ls": ""}
            axes.plot(epochs[best], values["held-out"][best], zorder=5, **star)
            handles.insert(len(PARTS), Line2D([], [], label=label, **star))
    unlike = {handle.get_label(): handle for handle in handles}
    figure.legend(handles=list(unlike.values()), loc="outside lower center", ncols=3, frameon=False)
    if title:
        figure.suptitle(title, fontsize=13)
    return save(figure, path)


def _limit(axes: Axes, values: np.ndarray, upwards: bool) -> None:
    """Sets y limits that show the half of the values that training has reached, and of the others what lies near."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, middle, high = np.min(values), np.median(values), np.max(values)
    if upwards:
        low = max(low, middle - 5 * max(high - middle, 1e-3 * abs(middle)))
    else:
        high = min(high, middle + 10 * max(middle - low, 1e-3 * abs(middle)))
    pad = max(0.06 * (high - low), 0.002 * abs(middle), 1e-6)
    axes.set_ylim(low - pad, high + pad)


def _outside(axes: Axes, epochs: np.ndarray, rows: Mapping[str, Sequence[Any]], key: str) -> list[Line2D]:
    """Marks at the edge what does not stand inside, and gives what the legend says of it."""
    upwards = key == "elbo"
    (low, high), told, far, wild = axes.get_ylim(), [], [], False
    for name, _, look in PARTS:
        for epoch, value in zip(epochs, rows[name], strict=True):
            finite = value is not ... and value is not None and math.isfinite(value)
            if value is ... or (finite and low <= value <= high):
                continue
            mark = ("v" if value < low else "^") if finite else "X"
            place = (0.0 if value < low else 1.0) if finite else 0.0
            size = 12 if name == PARTS[0][0] else 8  # so that both are seen of one epoch
            style: dict[str, Any] = {"color": look["color"], "mec": "white", "mew": 0.6, "ms": size, "zorder": 6}
            axes.plot(epoch, place, mark, transform=axes.get_xaxis_transform(), clip_on=False, label="_edge", **style)
            if finite:
                far.append(value)
            else:
                wild = True
    if far:
        where = f"ELBO below the limits, down to {_rounded(min(far))}"
        label = where if upwards else f"{key} above the limits, up to {_rounded(max(far))}"
        told.append(Line2D([], [], color="#555555", marker="v" if upwards else "^", ms=8, ls="", label=label))
    if wild:
        told.append(Line2D([], [], color="#555555", marker="X", ms=8, ls="", label="not finite"))
    return told


def _rounded(value: float, digits: int | None = None) -> str:
    """With so many digits, or three in all where it is not large."""
    large = 1000 <= abs(value) < 1e9
    text = (
        f"{value:,.0f}" if large else f"{value:.3g}" if digits is None or abs(value) >= 1e9 else f"{value:.{digits}f}"
    )
    return text.replace("-", MINUS)
