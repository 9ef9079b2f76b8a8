"""Guides side by side, as wide as a column of a paper."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from pyrovae.plots.figure import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    figure_of,
    minus,
    number,
    plain,
    plain_numbers,
    save,
    shortened,
    two_lines,
)
from pyrovae.storage.jsonable import JsonMapping

WIDTH, DPI, SIZE = 3.5, 300, 7
"""Inches of a column, and points of its letters."""

LINE = 22
"""Letters of a guide's name on one line."""

MARKS: tuple[tuple[str, str, dict[str, Any], float], ...] = (  # figure, title, look, place beside the guide's line
    ("elbo", "ELBO", {"color": BLUE, "marker": "o", "mfc": "white"}, -0.17),
    ("log_likelihood", "log-likelihood", {"color": ORANGE, "marker": "D", "mfc": ORANGE, "ms": 3}, 0.17),
)

Rows = Sequence[JsonMapping]


def comparison(
    rows: Rows,
    path: str | os.PathLike[str],
    baseline: str | None = None,
    title: str = "",
    data: int | None = None,
    seeds: int = 1,
) -> Path:
    """Writes what `compare` found: ELBO and log-likelihood of each guide with the gap between, their differences from
    the baseline, where the gap was taken apart its two parts, and the time of a step.

    Thin lines are 95 % intervals over the data, thick ones, where there are several seeds, one deviation over these,
    and the legend says so.

    Args:
        rows: `Comparison.table`, from top to bottom; figures, intervals and differences may be missing.
        path: the file to write.
        baseline: its name.
        title: above all.
        data: over how many data the intervals are.
        seeds: how many there are.
    """
    others = [row for row in rows if (row.get("elbo") or {}).get("difference")]
    low = 0.15 if all(len(two_lines(str(row["guide"]), LINE).split("\n")) == 1 for row in rows) else 0.24
    apart = [row for row in rows if np.isfinite(number((row.get("approximation") or {}).get("mean")))]
    parts: list[tuple[Callable[[Axes, Rows], None], Rows, float]] = [(_bounds, rows, 0.26)]
    parts += [(_differences, others, 0.26)] if others else []
    parts += [(_gaps, apart, low)] if apart else []
    parts += [(_steps, rows, low)]
    heights = [height * max(len(part), 1.4) for _, part, height in parts]
    figure = figure_of(WIDTH, sum(heights) + 0.42 * len(heights) + 0.55 + (0.2 if title else 0), DPI)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)  # type: ignore[union-attr, call-arg]
    panels = list(figure.subplots(len(heights), 1, height_ratios=heights))
    for axes, (drawn, part, _) in zip(panels, parts, strict=True):
        drawn(axes, part)
        plain(axes)
        axes.set_yticks(np.arange(len(part)), [two_lines(str(row["guide"]), LINE) for row in part])
        axes.set_ylim(len(part) - 0.45, -0.55)
        axes.grid(axis="x", alpha=0.25, lw=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=SIZE, width=0.6, length=2.5)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.label.set_size(SIZE)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], min_n_ticks=3))
        plain_numbers(axes.xaxis)
    if others:
        against = "the first guide" if baseline is None else shortened(baseline, 24)
        panels[1].set_xlabel(f"difference from {against}, nats per datum")
    figure.align_labels(panels)
    handles, labels = panels[0].get_legend_handles_labels()
    if any((row.get(key) or {}).get("interval") for row in rows for key, *_ in MARKS):
        handles.append(Line2D([], [], color="#444444", lw=0.9))
        labels.append(f"95 % interval over {'the' if data is None else f'{data:,}'} data")
    if any((row["elbo"].get("difference") or {}).get("deviation") is not None for row in others):
        handles.append(Line2D([], [], color="#444444", lw=3, alpha=0.35))
        labels.append(f"± one deviation over {seeds} seeds" if seeds > 1 else "± one deviation over seeds")
    look: dict[str, Any] = {"frameon": False, "fontsize": SIZE, "columnspacing": 1, "handlelength": 1.4}
    order = [*range(0, len(handles), 2), *range(1, len(handles), 2)]  # matplotlib fills columns first
    look["handles"], look["labels"] = [handles[i] for i in order], [labels[i] for i in order]
    figure.legend(loc="outside upper center", ncols=2, title=title or None, title_fontsize=SIZE + 1, **look)
    return save(figure, path)


def _bounds(axes: Axes, rows: Rows) -> None:
    means = {key: np.array([number((row.get(key) or {}).get("mean")) for row in rows]) for key, *_ in MARKS}
    gaps, places = means["log_likelihood"] - means["elbo"], np.arange(len(rows))
    axes.barh(places, gaps, left=means["elbo"], height=0.16, color=GRAY, alpha=0.55, lw=0, label="gap")
    for key, title, look, beside in MARKS:
        for i, row in enumerate(rows):
            _mark(axes, row.get(key), i + beside, look, title if i == 0 else None, seeds=False)
    for i, gap in enumerate(gaps):
        if np.isfinite(gap):
            axes.annotate(
                minus(gap),
                (1.0, i),
                xycoords=("axes fraction", "data"),
                xytext=(-1, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=SIZE - 1,
                color="#444444",
            )
    # What is written at the right, the gap, gets a strip of its own.
    axes.margins(x=0.05)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right + 0.13 * (right - left))
    above: dict[str, Any] = {"xytext": (-1, 2), "textcoords": "offset points", "ha": "right", "va": "bottom"}
    axes.annotate("gap", (1.0, 1.0), xycoords="axes fraction", fontsize=SIZE - 1, color="#444444", **above)
    axes.set_xlabel("nats per datum")


def _differences(axes: Axes, rows: Rows) -> None:
    axes.axvline(0, color="#222222", lw=0.8, zorder=1)
    for key, _, look, beside in MARKS:
        for i, row in enumerate(rows):
            _mark(axes, (row.get(key) or {}).get("difference"), i + beside, look, None, seeds=True)
    axes.margins(x=0.08)


def _gaps(axes: Axes, rows: Rows) -> None:
    """Approximation gap and amortization gap, one behind the other."""
    places, left = np.arange(len(rows)), np.zeros(len(rows))
    for key, title, look in (
        ("approximation", "approximation gap", {"color": GREEN}),
        ("amortization", "amortization gap", {"color": GREEN, "alpha": 0.35}),
    ):
        width = np.array([number(row[key]["mean"]) for row in rows])
        axes.barh(places, width, left=left, height=0.55, lw=0, label=title, **look)
        left = left + width
    axes.legend(fontsize=SIZE - 1, frameon=False, loc="lower left", bbox_to_anchor=(0, 0.98), ncols=2, borderpad=0)
    axes.set_xlabel("log p(x) \N{MINUS SIGN} ELBO, nats per datum")


def _steps(axes: Axes, rows: Rows) -> None:
    found = [row.get("step_seconds") or {} for row in rows]
    mean = 1000 * np.array([number(figure.get("mean")) for figure in found])
    spread = 1000 * np.array([number(figure.get("deviation")) for figure in found])
    look: dict[str, Any] = {"ecolor": "#444444", "elinewidth": 0.8}
    places = np.arange(len(rows))
    axes.barh(places, mean, height=0.55, color=GRAY, alpha=0.6, lw=0)
    axes.errorbar(mean, places, xerr=spread, fmt="none", **look)
    several = "" if not np.isfinite(spread).any() else ", ± one deviation over seeds"
    axes.set_xlabel(f"milliseconds a training step{several}")


def _mark(
    axes: Axes, figure: JsonMapping | None, y: float, look: dict[str, Any], label: str | None, seeds: bool
) -> None:
    mean = number((figure or {}).get("mean"))
    axes.plot([mean], [y], ls="none", label=label, zorder=3, **{"ms": 3.6, "mew": 1.0} | look)
    interval = (figure or {}).get("interval")
    if interval is not None:
        axes.hlines(y, *interval, color=look["color"], lw=0.9, zorder=2)
    deviation = number((figure or {}).get("deviation"))
    if seeds and np.isfinite(deviation):
        axes.hlines(y, mean - deviation, mean + deviation, color=look["color"], lw=3, alpha=0.35, zorder=1.5)
