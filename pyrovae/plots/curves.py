"""ELBO, rate and distortion over the epochs."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pyrovae.plots.figure import BLUE, GREEN, MINUS, ORANGE, RED, figure_of, minus, number, plain, save


def curves(metrics: Sequence[Mapping[str, float | None]], path: str | os.PathLike[str]) -> Path:
    """Writes the training curves: the ELBO of training and held-out data on the left, rate and distortion on the right.

    Args:
        metrics: the objects of metrics.jsonl, in nats; a value may be NaN, None or missing.
        path: the file to write.
    """
    figure = figure_of(11, 4.4, 120)
    panels = figure.subplot_mosaic([["elbo", "rate"], ["elbo", "distortion"]], width_ratios=[1.5, 1])
    epochs = np.array([row.get("epoch", i + 1) for i, row in enumerate(metrics)], float)
    values = {
        key: np.array([number(row.get(key)) for row in metrics])
        for key in ("train_elbo", "valid_elbo", "rate", "distortion")
    }
    mark = "o" if len(epochs) <= 30 else None

    axes = panels["elbo"]
    axes.plot(epochs, values["train_elbo"], color=BLUE, marker=mark, ms=3.5, lw=1.5, label="training")
    axes.plot(epochs, values["valid_elbo"], color=ORANGE, marker=mark, ms=3.5, lw=1.5, label="held-out")
    if np.isfinite(values["valid_elbo"]).any():
        best = int(np.nanargmax(values["valid_elbo"]))
        label = f"best held-out: {minus(values['valid_elbo'][best])} (epoch {epochs[best]:g})"
        axes.plot(epochs[best], values["valid_elbo"][best], "*", color=RED, ms=13, mec="white", zorder=5, label=label)
    _limit(axes, np.concatenate([values["train_elbo"], values["valid_elbo"]]), upwards=True)
    axes.set(title="ELBO", ylabel="nats per datum")
    axes.legend(frameon=False, loc="best")

    for key, colour in (("rate", GREEN), ("distortion", BLUE)):
        panels[key].plot(epochs, values[key], color=colour, marker=mark, ms=3.5, lw=1.5)
        _limit(panels[key], values[key], upwards=False)
        panels[key].set(
            title={"rate": "Rate: KL(q(z|x) ‖ p(z))", "distortion": f"Distortion: {MINUS}E log p(x|z)"}[key]
        )
        panels[key].set(ylabel="nats")
    for name, axes in panels.items():
        plain(axes)
        axes.grid(alpha=0.25, lw=0.6)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        axes.ticklabel_format(axis="y", useOffset=False)
        if name != "rate":
            axes.set(xlabel="epoch")
        first, last = (epochs.min(), epochs.max()) if len(epochs) else (0, 1)
        pad = 0.03 * (last - first) or 1
        axes.set_xlim(first - pad, last + pad)
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
