"""Several ways to do one thing, timed by turns in one run."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

PACKAGES = ("pyrovae", "torch", "pyro-ppl", "numpyro", "jax", "pythae", "numpy")

REST = 0.02
"""Seconds between two contestants, in which the threads of the one before stop spinning."""


@dataclasses.dataclass
class Contestant:
    """One way to do it.

    Attributes:
        name: in the table.
        run: does it so many times, and waits until it is done; may give the seconds that count.
        check: the result by which contestants are compared (a test ELBO, a log-likelihood), in nats.
        setup: seconds of preparation (tracing, compilation), if measured.
    """

    name: str
    run: Callable[[int], Any]
    check: Callable[[], float] | None = None
    setup: float | None = None


@dataclasses.dataclass
class Row:
    """Milliseconds of one repetition: median and quartiles over the blocks; what it came to."""

    name: str
    median: float
    low: float
    high: float
    check: float | None
    setup: float | None

    def ratio(self, other: Row) -> float:
        """Its time by that of another."""
        return self.median / other.median


def alternate(contestants: Sequence[Contestant], blocks: int, repeats: int) -> list[Row]:
    """Each contestant in turn, `blocks` times, `repeats` repetitions in a block; a first block does not count."""
    times: dict[str, list[float]] = {each.name: [] for each in contestants}
    for block in range(blocks + 1):
        for each in contestants:
            time.sleep(REST)
            started = time.perf_counter()
            counted = each.run(repeats)
            taken = (time.perf_counter() - started if counted is None else counted) / repeats * 1e3
            if block:
                times[each.name].append(taken)
    rows = []
    for each in contestants:
        low, median, high = statistics.quantiles(times[each.name], n=4)
        check = None if each.check is None else each.check()
        rows.append(Row(each.name, median, low, high, check, each.setup))
    return rows


def environment() -> dict[str, Any]:
    """What the numbers were measured on and with."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        **found,
    }


def show(title: str, rows: Sequence[Row], base: str, check: str = "test ELBO") -> None:
    """Prints the table; ratios are to the contestant `base`."""
    by_name = {row.name: row for row in rows}
    table = Table(title=f"{title}; ratio to {base}", title_justify="left")
    for column in ("", "ms", "quartiles", "ratio", check, "setup s"):
        table.add_column(column, justify="left" if not column else "right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.median:.3f}",
            f"{row.low:.3f} to {row.high:.3f}",
            f"{row.ratio(by_name[base]):.2f}" if base in by_name else "",
            "" if row.check is None else f"{row.check:.2f}",
            "" if row.setup is None else f"{row.setup:.1f}",
        )
    Console(width=120).print(table)


def write(path: Path | None, results: dict[str, Any]) -> None:
    """The results with their environment, as JSON."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"environment": environment(), **results}, indent=1) + "\n")
        print(f"written to {path}")


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows for `write`."""
    return [dataclasses.asdict(row) for row in rows]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
