"""Pictures: grids of images, training curves, latent points, the table of guides; each is one file, written whole.

The format follows the suffix (png, pdf, svg). Nothing here touches pyplot or a global setting of matplotlib.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from pyrovae.errors import UsageError

BLUE, ORANGE, GREEN, RED, GRAY = "#1f6fb4", "#e07b1a", "#2a9d5c", "#c8343a", "#8a8a8a"
MINUS = "\N{MINUS SIGN}"
BLANK = 0.9  # the gray of a cell without an image
GRID_DPI = 128  # a power of two: pixels / dpi * dpi is exact, so no pixel is lost to rounding


def image_grid(
    images: Tensor,
    path: str | os.PathLike[str],
    column_titles: Sequence[str] | None = None,
    row_titles: Sequence[str] | None = None,
    title: str | None = None,
) -> Path:
    """Writes a grid of images, every pixel a square of the same whole size.

    Args:
        images: values in [0, 1], shape (rows, columns, C, H, W), C = 1 (gray) or 3 (RGB); NaN is blank.
        path: the file to write.
        column_titles: one for each column; shortened where they do not fit.
        row_titles: one for each row.
        title: above all.

    Raises:
        UsageError: a shape or a number of titles does not fit.
    """
    if images.ndim != 5 or images.shape[2] not in (1, 3) or 0 in images.shape:
        raise UsageError(f"images have shape {tuple(images.shape)}, not (rows, columns, 1 or 3, height, width)")
    rows, columns, _, height, width = images.shape
    for what, titles, count in (("column", column_titles, columns), ("row", row_titles, rows)):
        if titles is not None and len(titles) != count:
            raise UsageError(f"there are {len(titles)} {what} titles for {count} {what}s of images")

    cells, gap = _enlarge(images.detach().float().cpu(), 1200, 1400)
    height, width = cells.shape[-2:]
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    pixels = (cells.nan_to_num(BLANK).clamp(0, 1) * 255).round().byte()
    pixels = pixels.expand(rows, columns, 3, height, width).permute(0, 1, 3, 4, 2)  # (rows, columns, H, W, 3)
    for i in range(rows):
        for j in range(columns):
            y, x = i * (height + gap), j * (width + gap)
            canvas[y : y + height, x : x + width] = pixels[i, j].numpy()

    across = _Titles(column_titles or (), width)
    down = _Titles(row_titles or (), 280, height)
    margin = 12
    left = margin + (down.width + 8 if row_titles else 0)
    above = margin + (30 if title else 0) + (across.size + 8 if column_titles else 0)
    heading = _Titles((title,) if title else (), 1600, size=17)
    full_width = max(left + canvas.shape[1] + margin, heading.width + 2 * margin, 240)
    full_height = above + canvas.shape[0] + margin
    left += (full_width - left - canvas.shape[1] - margin) // 2
    figure = _figure(full_width / GRID_DPI, full_height / GRID_DPI, GRID_DPI, layout=None)
    figure.figimage(canvas, left, margin, origin="upper")

    def write(text: str, x: float, y: float, size: float, horizontal: str, vertical: str) -> None:
        place: dict[str, Any] = {
            "ha": horizontal,
            "va": vertical,
            "fontsize": size * 72 / GRID_DPI,
            "parse_math": False,
        }
        figure.text(x / full_width, 1 - y / full_height, text, **place)

    for text in heading.texts:
        write(text, full_width / 2, margin, heading.size, "center", "top")
    for j, text in enumerate(across.texts):
        write(text, left + j * (width + gap) + width / 2, above - 6, across.size, "center", "baseline")
    for i, text in enumerate(down.texts):
        write(text, left - 8, above + i * (height + gap) + height / 2, down.size, "right", "center")
    return _save(figure, path)


def _enlarge(images: Tensor, most_wide: int, most_high: int) -> tuple[Tensor, int]:
    """`images` enlarged by the greatest whole factor that keeps the grid in bounds, or shrunk; and the gap."""
    rows, columns, _, height, width = images.shape
    gap = 2 if columns > 10 or rows > 10 else 4
    factor = min((most_wide - gap * columns) / (columns * width), (most_high - gap * rows) / (rows * height))
    if factor >= 1:
        whole = min(int(factor), max(1, 360 // max(height, width)))  # a single digit need not fill the screen
        return images.repeat_interleave(whole, -2).repeat_interleave(whole, -1), gap
    size = (max(1, int(height * factor)), max(1, int(width * factor)))
    small = torch.nn.functional.interpolate(images.flatten(0, 1), size, mode="area")
    return small.unflatten(0, (rows, columns)), gap


class _Titles:
    """Texts in one size, in pixels, at which they fit `room`; those that cannot are shortened."""

    def __init__(self, texts: Sequence[str], room: int, height: int = 100, size: int = 13) -> None:
        self.size = max(6, min(size, height))
        while self.size > 10 and self._widest(texts) > room:
            self.size -= 1
        self.texts = [self._shorten(text, room) for text in texts]
        self.width = math.ceil(self._widest(self.texts))

    def _widest(self, texts: Sequence[str]) -> float:
        return max(map(self._measure, texts), default=0)

    def _measure(self, text: str) -> float:
        canvas = FigureCanvasAgg(Figure(dpi=GRID_DPI))
        font = FontProperties(size=self.size * 72 / GRID_DPI)
        return canvas.get_renderer().get_text_width_height_descent(text, font, ismath=False)[0]

    def _shorten(self, text: str, room: int) -> str:
        """Leaves out the middle: what tells one title from the next is often the number at its end."""
        short, keep = text, len(text) - 1
        while keep > 0 and self._measure(short) > room:
            tail = keep // 3
            short = text[: keep - tail].rstrip() + "…" + text[len(text) - tail :]
            keep -= 1
        return short


def curves(metrics: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Writes the training curves: the ELBO of training and held-out data on the left, rate and distortion on the right.

    Args:
        metrics: the objects of metrics.jsonl, in nats; a value may be NaN, None or missing.
        path: the file to write.
    """
    figure = _figure(11, 4.4, 120)
    panels = figure.subplot_mosaic([["elbo", "rate"], ["elbo", "distortion"]], width_ratios=[1.5, 1])
    epochs = np.array([row.get("epoch", i + 1) for i, row in enumerate(metrics)], float)
    values = {
        key: np.array([_number(row.get(key)) for row in metrics])
        for key in ("train_elbo", "valid_elbo", "rate", "distortion")
    }
    mark = "o" if len(epochs) <= 30 else None

    axes = panels["elbo"]
    axes.plot(epochs, values["train_elbo"], color=BLUE, marker=mark, ms=3.5, lw=1.5, label="training")
    axes.plot(epochs, values["valid_elbo"], color=ORANGE, marker=mark, ms=3.5, lw=1.5, label="held-out")
    if np.isfinite(values["valid_elbo"]).any():
        best = int(np.nanargmax(values["valid_elbo"]))
        label = f"best held-out: {_minus(values['valid_elbo'][best])} (epoch {epochs[best]:g})"
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
        _plain(axes)
        axes.grid(alpha=0.25, lw=0.6)
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
        axes.ticklabel_format(axis="y", useOffset=False)
        if name != "rate":
            axes.set(xlabel="epoch")
        first, last = (epochs.min(), epochs.max()) if len(epochs) else (0, 1)
        pad = 0.03 * (last - first) or 1
        axes.set_xlim(first - pad, last + pad)
    return _save(figure, path)


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

    figure = _figure(9, 7, 120)
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
    _plain(axes)
    return _save(figure, path)


def _colours(count: int) -> np.ndarray:
    """`count` colours that differ, shape (count, 4)."""
    if count <= 20:
        return colormaps["tab10" if count <= 10 else "tab20"](np.arange(count))
    return colormaps["turbo"](np.linspace(0.03, 0.97, count))


def comparison(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Writes what `compare` found: for each guide ELBO, log-likelihood and the gap between, and the time of training.

    Args:
        rows: `guide`, and `elbo`, `log_likelihood`, `seconds`, each `{"mean": float, "deviation": float | None}`,
            the deviation over seeds; from top to bottom.
        path: the file to write.
    """
    figure = _figure(10, 1.7 + 0.45 * max(len(rows), 2), 150)
    bounds, times = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    y = np.arange(len(rows))
    found = {
        key: np.array([[_number((row.get(key) or {}).get(part)) for part in ("mean", "deviation")] for row in rows])
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
            bounds.annotate(f"gap {_minus(gap)}", place, (0, 6), **look)
    bounds.set(xlabel="nats per datum (higher is better)", yticks=y, yticklabels=[str(row["guide"]) for row in rows])
    bounds.set_ylim(max(len(rows), 2) - 0.4, -0.6)
    bounds.margins(x=0.1)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    mean, deviation = found["seconds"].T
    times.barh(y, mean, height=0.45, color=GRAY, alpha=0.6)
    times.errorbar(mean, y, xerr=deviation, fmt="none", ecolor="#444444", capsize=3)
    times.set(xlabel="training, seconds")
    for axes in (bounds, times):
        _plain(axes)
        axes.grid(axis="x", alpha=0.25, lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    bounds.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    times.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    return _save(figure, path)


def _figure(width: float, height: float, dpi: int, layout: Any = "constrained") -> Figure:
    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout=layout)
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(w_pad=0.1, h_pad=0.1)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _number(value: Any) -> float:
    """A finite float, else NaN."""
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else math.nan


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", MINUS)


def _save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Draws the figure in memory, writes it beside `path` and renames it, so that no reader sees half a picture."""
    path = Path(path)
    suffix = path.suffix.removeprefix(".").lower() or "png"
    known = FigureCanvasAgg(figure).get_supported_filetypes()
    if suffix not in known:
        raise UsageError(f"no picture format '{suffix}' for {path}: choose one of {', '.join(sorted(known))}")
    drawn = io.BytesIO()
    figure.savefig(drawn, format=suffix, dpi=figure.dpi)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(drawn.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return path
