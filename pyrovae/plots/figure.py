"""What all pictures share: figures without global state, numbers, and files that are whole or not there."""

import io
import math
import os
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from pyrovae.errors import UsageError
from pyrovae.storage.atomic import aside

BLUE, ORANGE, GREEN, RED, GRAY = "#1f6fb4", "#e07b1a", "#2a9d5c", "#c8343a", "#8a8a8a"
MINUS = "\N{MINUS SIGN}"


def figure_of(width: float, height: float, dpi: int, layout: Literal["constrained"] | None = "constrained") -> Figure:
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(w_pad=0.1, h_pad=0.1)
    return figure


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def number(value: float | None) -> float:
    """A finite float, else NaN."""
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan


def minus(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)


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
