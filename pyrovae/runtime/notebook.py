"""How a result shows itself: in a line or two of text, and in a notebook as a small table."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from html import escape
from typing import final

Lines = list[tuple[str, str]]
"""Names and what stands beside them; a line that goes on has no name."""


class Shown(ABC):
    """A result that is shown by its figures, and not by all that it holds."""

    @abstractmethod
    def lines(self) -> Lines:
        """What a person should see of it, the most important first."""

    @final
    def __repr__(self) -> str:
        told = [f"{name} {text}".strip() for name, text in self.lines()]
        return f"{type(self).__name__}: " + "\n".join(told)

    @final
    def _repr_html_(self) -> str:
        return html(self.lines(), title=type(self).__name__)


def html(rows: Sequence[Sequence[str]], heads: Sequence[str] = (), title: str = "") -> str:
    """A table whose first column are headings; all is escaped, and no colour is set, as a page may be light or dark."""
    left = ' style="text-align: left"'
    parts = ["<table>"]
    if title:
        parts.append(f"<caption{left}>{escape(title)}</caption>")
    if heads:
        parts.append("<thead><tr>" + "".join(f"<th{left}>{escape(each)}</th>" for each in heads) + "</tr></thead>")
    parts.append("<tbody>")
    for first, *others in rows:
        cells = "".join(f"<td{left}>{escape(each)}</td>" for each in others)
        parts.append(f"<tr><th{left}>{escape(first)}</th>{cells}</tr>")
    return "\n".join([*parts, "</tbody>", "</table>"])


def aligned(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    """The same as text: columns two blanks apart, each as wide as what stands in it."""
    whole = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in whole
    )


def nats(mean: float | None, error: float | None) -> str:
    """`-20.287 nats, standard error 0.004`; where it is not known, that."""
    if mean is None:
        return "unknown"
    known = "unknown" if error is None or math.isnan(error) else f"{error:.2g}"
    return f"{mean:.3f} nats, standard error {known}"
