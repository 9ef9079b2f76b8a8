"""Tables that cut nothing: one that is too wide is wrapped between words, or parted into blocks of columns."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence

import click

GAP = "  "

PROSE = 24
"""Columns that a cell of words has at least, before its table is parted."""

Row = Sequence[str]


def room() -> int | None:
    """Columns that a line may have: what COLUMNS says, or of the terminal; None where stdout is no terminal, and lines
    are as long as they are."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(text: str, width: int | None) -> list[str]:
    """Lines of whole words; a word that is longer has a line of its own, and is not cut."""
    if width is None or length(text) <= width:
        return [text]
    lines = [""]
    for word in text.split():
        line = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and length(line) > width:
            lines.append(word)
        else:
            lines[-1] = line
    return lines


def length(text: str) -> int:
    """Columns of a terminal that a text takes: two for a letter of Chinese, none for an accent."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def lines_of(heads: Row, rows: Sequence[Row], width: int | None) -> Iterator[str]:
    """The lines of a table whose first column names the rows; the line of the heads in bold, and left out where all are
    empty."""
    table = [list(row) for row in rows]
    natural = [max(map(length, column)) for column in zip(heads, *table, strict=True)]
    if width is None or sum(natural) + len(GAP) * (len(natural) - 1) <= width:
        yield from _block(heads, table, natural)
        return
    least = [_least(head, [row[at] for row in table], width) for at, head in enumerate(heads)]
    for number, block in enumerate(_blocks(least, width)):
        if number:
            yield ""
        if len(block) == 2 and least[0] + len(GAP) + least[block[1]] > width:
            yield from _below(heads, table, block[1], width)
            continue
        widths = _stretched([least[at] for at in block], [natural[at] for at in block], width)
        yield from _block([heads[at] for at in block], [[row[at] for at in block] for row in table], widths)


def _least(head: str, cells: Row, width: int) -> int:
    """The least width of a column: numbers stay on one line, words may have several."""
    parts = [*head.split(), ""]
    widest = 0
    for cell in cells:
        words = cell.split()
        if _is_prose(words) or length(cell) > width:
            parts += words
            widest = max(widest, min(length(cell), PROSE))
        else:
            widest = max(widest, length(cell))
    return max(widest, *map(length, parts))


def _is_prose(words: Row) -> bool:
    return len(words) > 3 and 2 * sum(word.lstrip("(").isalpha() for word in words) >= len(words)


def _blocks(least: Sequence[int], width: int) -> list[list[int]]:
    """Columns that stand side by side: the first in each block, and as many others as have room, at least one."""
    blocks = [[0]]
    for at in range(1, len(least)):
        taken = sum(least[each] + len(GAP) for each in blocks[-1]) + least[at]
        if taken > width and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(at)
    return blocks


def _stretched(least: Sequence[int], natural: Sequence[int], width: int) -> list[int]:
    """Widths of columns that fill the room between them, each at most as wide as it is by itself."""
    widths = list(least)
    left = width - sum(least) - len(GAP) * (len(least) - 1)
    while left > 0 and (short := [at for at in range(len(widths)) if widths[at] < natural[at]]):
        share = max(left // len(short), 1)
        for at in short[:left]:
            more = min(share, natural[at] - widths[at])
            widths[at] += more
            left -= more
    return widths


def _block(heads: Row, rows: Sequence[Row], widths: Sequence[int]) -> Iterator[str]:
    if any(heads):
        yield from (click.style(line, bold=True) for line in _lines(heads, widths))
    for row in rows:
        yield from _lines(row, widths)


def _lines(row: Row, widths: Sequence[int]) -> Iterator[str]:
    cells = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    for at in range(max(map(len, cells))):
        parts = [cell[at] if at < len(cell) else "" for cell in cells]
        yield GAP.join(part + " " * (width - length(part)) for part, width in zip(parts, widths, strict=True)).rstrip()


def _below(heads: Row, rows: Sequence[Row], at: int, width: int) -> Iterator[str]:
    """A column that has not everywhere room beside the names: where it has none, a cell stands below its name."""
    name = max(length(row[0]) for row in rows)
    if any(heads):
        yield click.style(GAP.join(filter(None, (heads[0], heads[at]))), bold=True)
    for row in rows:
        if name + len(GAP) + length(row[at]) <= width:
            yield from _lines([row[0], row[at]], [name, length(row[at])])
            continue
        yield from wrapped(row[0], width)
        yield from (f"{GAP}{line}" for line in wrapped(row[at], width - len(GAP)))
