"""What several guides reach on one network: ELBO, log-likelihood by importance sampling, and by annealing."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from pyrovae.plots.figure import BLUE, GREEN, ORANGE, figure_of, plain, save

MARKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ELBO", {"color": BLUE, "marker": "o", "mfc": "white"}),
    ("log p(x), importance sampling", {"color": ORANGE, "marker": "D"}),
    ("log p(x), annealed", {"color": GREEN, "marker": "s"}),
)


def ladder(rows: Mapping[str, Sequence[Sequence[float]]], path: str | os.PathLike[str], title: str = "") -> Path:
    """Writes one line a guide, from its ELBO to its log-likelihood, with one deviation over seeds as thin lines.

    Args:
        rows: name -> values of all seeds for each of `MARKS`; none where a figure is not known.
        path: the file to write.
        title: above the axes.
    """
    figure = figure_of(8, 0.34 * max(len(rows), 3) + 1.4, 120)
    axes = figure.subplots()
    for y, values in enumerate(rows.values()):
        means = [float(np.mean(of)) for of in values if len(of)]
        axes.plot([min(means), max(means)], [y, y], color="#c8c8c8", lw=3, zorder=1, solid_capstyle="round")
    for i, (label, look) in enumerate(MARKS):
        known = [(y, values[i]) for y, values in enumerate(rows.values()) if len(values[i])]
        if known:
            centres = [float(np.mean(of)) for _, of in known]
            spreads = [float(np.std(of, ddof=1)) if len(of) > 1 else 0.0 for _, of in known]
            axes.errorbar(centres, [y for y, _ in known], xerr=spreads, ls="none", lw=0.9, ms=5, label=label, **look)
    axes.set_yticks(np.arange(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.set(xlabel="nats per datum")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.25, lw=0.6)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    plain(axes)
    return save(figure, path)
