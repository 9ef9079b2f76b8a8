"""Learning curves of several fits beside published end points."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from pyrovae.plots.figure import BLUE, GRAY, GREEN, ORANGE, RED, figure_of, minus, plain, save

COLOURS = (BLUE, ORANGE, GREEN, RED, "#7b4fa3", "#8c6d46", "#d16ba5", "#3aa6b9", GRAY, "#b5a136", "#20324f")
DASHES = ("-", "--", ":")


def learning(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    path: str | os.PathLike[str],
    published: Mapping[str, float] | None = None,
    title: str = "",
) -> Path:
    """Writes held-out curves over the epochs, on a logarithmic axis, with published end points as lines.

    Args:
        curves: name -> (epoch, value) of each epoch.
        path: the file to write.
        published: name -> value, drawn as a thin line of that name.
        title: above the axes.
    """
    figure = figure_of(8.5, 4.8, 120)
    axes = figure.subplots()
    ends = [value for values in curves.values() for _, value in values[-1:]]
    for i, (name, values) in enumerate(curves.items()):
        epochs, scores = np.array(values, float).reshape(-1, 2).T
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]
        axes.plot(
            epochs, scores, lw=1.5, marker="o" if len(epochs) < 12 else None, ms=3, label=name, color=colour, ls=dash
        )
    for i, (name, value) in enumerate((published or {}).items()):
        axes.axhline(value, color=GRAY, lw=0.8, ls=DASHES[i % len(DASHES)], label=f"{name}: {minus(value)}")
    found = [value for value in [*ends, *(published or {}).values()] if np.isfinite(value)]
    if found:
        low, high = min(found), max(found)
        below = max(1.2 * (high - low), 0.1 * abs(low), 1.0)
        axes.set_ylim(low - below, high + 0.1 * max(high - low, 1.0))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="epoch", ylabel="held-out ELBO, nats per datum")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25, lw=0.6)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    plain(axes)
    return save(figure, path)
