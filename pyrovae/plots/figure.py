"""What all pictures share: figures without global state, numbers, and files that are whole or not there."""

import io
import math
import os
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

from pyrovae.errors import UsageError
from pyrovae.storage.atomic import aside

BLUE, ORANGE, GREEN, RED, GRAY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8a8a8a"
"""Those of Okabe and Ito (Color Universal Design, 2008), which the colour-blind tell apart, and a gray."""

FAR = 3.0
"""Interquartile ranges from the quartiles to the outer fences (Tukey, Exploratory Data Analysis, 1977)."""

MOST_OUTSIDE = 0.05
"""Share of the values that may lie outside of the limits of an axis."""

MINUS = "\N{MINUS SIGN}"


def figure_of(width: float, height: float, dpi: int, layout: Literal["constrained"] | None = "constrained") -> Figure:
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(w_pad=0.1, h_pad=0.1)
    return figure


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def plain_numbers(axis: Axis) -> None:
    """Ticks as whole numbers: no factor and no offset at the end of the axis, and as many digits on each."""

    def text(value: float, _: int | None = None) -> str:
        steps = np.diff(np.unique(axis.get_majorticklocs()))
        step = steps.min() if len(steps) else 1.0
        digits = min(max(0, -math.floor(math.log10(step) + 1e-9)), 8)
        if round(step, digits) != step and abs(round(step, digits) / step - 1) > 1e-6:  # steps of 2.5
            digits += 1
        return f"{value if abs(value) > 1e-9 * step else 0:,.{digits}f}".replace("-", MINUS)

    axis.set_major_formatter(FuncFormatter(text))


def fences(values: np.ndarray) -> tuple[float, float]:
    """Least and greatest of the finite values that are no far outliers, and of nearly all where many are."""
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    first, third = np.quantile(values, (0.25, 0.75))
    reach = FAR * (third - first)
    inside = values[(values >= first - reach) & (values <= third + reach)]
    if reach == 0 and len(inside) < len(values):  # half of them are equal, which says nothing of the others
        inside = values
    low, high = float(inside.min()), float(inside.max())
    ends = np.quantile(values, (MOST_OUTSIDE / 2, 1 - MOST_OUTSIDE / 2), method="nearest")
    outside = len(values) - len(inside)
    return (
        (min(low, float(ends[0])), max(high, float(ends[1]))) if outside > MOST_OUTSIDE * len(values) else (low, high)
    )


def number(value: float | None) -> float:
    """A finite float, else NaN."""
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan


def minus(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)


def shortened(text: str, most: int) -> str:
    """At most so many letters, without the middle."""
    tail = most // 3
    return text if len(text) <= most else text[: most - tail - 1] + "…" + text[-tail:]


def two_lines(guide: str, most: int) -> str:
    """The spec of a guide on lines of at most so many letters: two where it is longer, broken before an option."""
    if len(guide) <= most:
        return guide
    first, *options = guide.split(":")
    while options and len(f"{first}:{options[0]}") <= most:
        first = f"{first}:{options.pop(0)}"
    rest = [":" + ":".join(options)] if options else []
    return "\n".join(shortened(line, most) for line in (first, *rest))


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Draws the figure in memory, writes it beside `path` and renames it, so that no reader sees half a picture."""
    path = Path(path)
    suffix = path.suffix.removeprefix(".").lower() or "png"
    known = FigureCanvasAgg(figure).get_supported_filetypes()
    if suffix not in known:
        raise UsageError(f"no picture format '{suffix}' for {path}: choose one of {', '.join(sorted(known))}")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=suffix, dpi=figure.dpi)
    with aside(path) as temporary:
        temporary.write_bytes(drawn.getbuffer())
    return path
