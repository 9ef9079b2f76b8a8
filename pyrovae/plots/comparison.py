"""Guides side by side."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from pyrovae.plots.figure import BLUE, GRAY, ORANGE, figure_of, minus, number, plain, save


def comparison(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Writes what `compare` found: for each guide ELBO, log-likelihood and the gap between, and the time of training.

    Args:
        rows: `guide`, and `elbo`, `log_likelihood`, `seconds`, each `{"mean": float, "deviation": float | None}`,
            the deviation over seeds; from top to bottom.
        path: the file to write.
    """
    figure = figure_of(10, 1.7 + 0.45 * max(len(rows), 2), 150)
    bounds, times = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    y = np.arange(len(rows))
    found = {
        key: np.array([[number((row.get(key) or {}).get(part)) for part in ("mean", "deviation")] for row in rows])
        for key in ("elbo", "log_likelihood", "seconds")
    }
    found = {key: value.reshape(-1, 2) for key, value in found.items()}
    elbo, likelihood = found["elbo"][:, 0], found["log_likelihood"][:, 0]
    bounds.hlines(y, elbo, likelihood, color=GRAY, lw=5, alpha=0.3)
    for key, colour, face, label in (
        ("elbo", BLUE, "white", "ELBO"),
        ("log_likelihood", ORANGE, ORANGE, "log-likelihood (importance sampling)"),
    ):
        mean, deviation = found[key].T
        point = {"color": colour, "mfc": face, "ms": 6.5, "mew": 1.6, "label": label}
        bounds.errorbar(mean, y, xerr=deviation, fmt="none", ecolor=colour, elinewidth=1.4, capsize=3)
        bounds.plot(mean, y, "o", **point)
    for i, gap in enumerate(likelihood - elbo):
        if np.isfinite(gap):
            place = ((elbo[i] + likelihood[i]) / 2, y[i])
            look = {"textcoords": "offset points", "ha": "center", "fontsize": 8, "color": "#555555"}
            bounds.annotate(f"gap {minus(gap)}", place, (0, 6), **look)
    bounds.set(xlabel="nats per datum (higher is better)", yticks=y, yticklabels=[str(row["guide"]) for row in rows])
    bounds.set_ylim(max(len(rows), 2) - 0.4, -0.6)
    bounds.margins(x=0.1)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    mean, deviation = found["seconds"].T
    times.barh(y, mean, height=0.45, color=GRAY, alpha=0.6)
    times.errorbar(mean, y, xerr=deviation, fmt="none", ecolor="#444444", capsize=3)
    times.set(xlabel="training, seconds")
    for axes in (bounds, times):
        plain(axes)
        axes.grid(axis="x", alpha=0.25, lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    bounds.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    times.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    return save(figure, path)
