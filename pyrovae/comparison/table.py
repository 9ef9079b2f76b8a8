"""What a comparison found: figures of each run, means of each guide, paired differences, values of each datum."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from pyrovae.comparison.columns import COLUMNS, Column, Value
from pyrovae.evaluation import mean_interval
from pyrovae.evaluation.gap import surest
from pyrovae.runtime.notebook import aligned, html
from pyrovae.storage.jsonable import Json, JsonMapping

K = TypeVar("K", bound=Hashable)


class Table(list[dict[str, Any]]):
    """The rows of a comparison, one a guide; shown as a table of means, with differences to the baseline and their
    intervals."""

    def columns(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows of what some guide has a figure for."""
        heads, rows = ["guide"], [[row["guide"]] for row in self]
        for column in (each for each in COLUMNS if each.shown):
            figures = [row[column.name] for row in self]
            if any(figure["mean"] is not None for figure in figures):
                heads.append(column.title)
                for cells, figure in zip(rows, figures, strict=True):
                    cells.append("-" if figure["mean"] is None else f"{figure['mean']:{column.format}}")
            differences = [figure.get("difference") for figure in figures]
            if any(differences):
                heads.append("difference")
                for cells, found in zip(rows, differences, strict=True):
                    cells.append(_with_interval(found))
        return heads, rows

    def __repr__(self) -> str:
        heads, rows = self.columns()
        return aligned(rows, heads)

    def _repr_html_(self) -> str:
        heads, rows = self.columns()
        return html(rows, heads)


def _with_interval(found: JsonMapping | None) -> str:
    if not found or found["mean"] is None:
        return "-"
    low, high = found["interval"] or (None, None)
    return f"{found['mean']:+.3f}" + ("" if low is None else f" [{low:+.3f}, {high:+.3f}]")


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """What several guides reach on one model, on the same test data; nats.

    All but `values` is compare.json, by these names; `values` is compare.npz.

    Attributes:
        model: the variant.
        baseline: the guide to which the others are compared.
        runs: a row a guide and seed: `guide`, `seed` and the figures of `COLUMNS` by name: `elbo`, `log_likelihood`,
            `gap` (log-likelihood - ELBO), `rate`, `ess` (effective importance samples), `pareto_k`, means over the
            data;
            where gaps are taken apart, of the data `gap_rows`: `log_p`, the surest estimate of log p(x); `ais`, by
            annealed importance sampling; `best`, the ELBO of the best member of the family; `approximation`,
            `amortization`; `gain`, nats that the last round of refitting gained (`pyrovae.evaluation.refitting.refit`);
            `active_units`, `step_seconds`, `seconds` (of training), `guide_parameters`, `parameters`. None where a
            pair has no such figure. `trusted` and `verdict` say how far the log-likelihood may be trusted,
            `broken` what speaks against all of them.
        table: a row a guide: `guide`, and each figure as
            `mean`: over the seeds;
            `deviation`: over the seeds, None for one seed;
            `interval`: of a figure that each datum has, a bootstrap 95 % interval (low, high) of the mean, for other
            data of the same kind, of each datum's mean over the seeds; else None;
            `difference`: of `elbo`, `log_likelihood` and `best`, this guide less the baseline, datum by datum, as
            `mean`, `deviation` (over the seeds) and `interval` (over the data, in pairs); None for the baseline itself.
        setting: what was the same for all: the data, options, `seeds`, `draws` (of z, of the ELBO of a datum), and
            `frozen`, the run whose model all share and the checksum of its weights, or None.
        values: of each figure that each datum has, (guides, seeds, data); `guides`, `seeds`, and `rows`, which of
            the test data they are, and `gap_rows`, which of these the gaps are of.
    """

    model: str
    baseline: str
    runs: list[dict[str, Any]]
    table: Table
    setting: dict[str, Any]
    values: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was compared on what."""
        data, seeds = self.setting["data"].get("source"), len(self.setting["seeds"])
        return (
            f"{self.model} on {data}, {seeds} seed{'s' if seeds > 1 else ''} a guide; nats, compared to {self.baseline}"
        )

    def __repr__(self) -> str:
        return f"Comparison: {self.title}\n{self.table!r}"

    def _repr_html_(self) -> str:
        heads, rows = self.table.columns()
        return html(rows, heads, f"Comparison: {self.title}")

    def to_json(self) -> Json:
        """As compare.json."""
        fields = (field.name for field in dataclasses.fields(self) if field.name != "values")
        return {name: getattr(self, name) for name in fields}


def run_row(guide: str, seed: int, found: Mapping[str, Value]) -> Json:
    """One of `Comparison.runs`."""
    means = {name: value.mean().item() if isinstance(value, Tensor) else value for name, value in found.items()}
    known = {name: None if mean is None or not math.isfinite(mean) else mean for name, mean in means.items()}
    return {"guide": guide, "seed": seed, **known}


def share_log_p(found: Mapping[K, dict[str, Value]], errors: Mapping[K, Tensor]) -> None:
    """Of runs with one model, gives each the log p(x) of that whose mean is surely the highest, and its gaps by it.

    `errors` are the Monte Carlo errors, (N,), of each that has a log p(x).
    """
    known = {key: (value, errors[key]) for key, row in found.items() if isinstance(value := row["log_p"], Tensor)}
    if not known:
        return
    highest, _ = known[surest(known)]
    for row in (found[key] for key in known):
        row["log_p"], row["approximation"] = highest, highest - row["best"]  # type: ignore[operator]


def stacked(
    name: str, found: Mapping[tuple[str, int], Mapping[str, Value]], guides: Sequence[str], seeds: Sequence[int]
) -> np.ndarray | None:
    """The values of a figure that each datum has, (guides, seeds, data), NaN for a run without; else None."""
    lengths = {len(value) for row in found.values() if isinstance(value := row[name], Tensor)}
    if not lengths:
        return None
    array = np.full((len(guides), len(seeds), lengths.pop()), np.nan)
    for (guide, seed), row in found.items():
        value = row[name]
        if isinstance(value, Tensor):
            array[guides.index(guide), seeds.index(seed)] = value.double().cpu().numpy()
    return array


def guide_rows(
    guides: Sequence[str], baseline: str, runs: Sequence[JsonMapping], values: Mapping[str, np.ndarray]
) -> Table:
    """`Comparison.table`."""
    rows = Table()
    for i, guide in enumerate(guides):
        mine, row = [run for run in runs if run["guide"] == guide], dict[str, Any]()
        for column in COLUMNS:
            of_data = values.get(column.name)
            row[column.name] = _figure([run[column.name] for run in mine], None if of_data is None else of_data[i])
            if column.paired:
                row[column.name]["difference"] = _difference(column, of_data, i, guides.index(baseline))
        rows.append({"guide": guide, **row})
    return rows


def _difference(column: Column, values: np.ndarray | None, i: int, baseline: int) -> Json | None:
    if values is None or i == baseline:
        return None
    difference = values[i] - values[baseline]  # (seeds, data)
    return _figure(difference.mean(1).tolist(), difference)


def _figure(seeds: Sequence[float | None], values: np.ndarray | None) -> Json:
    """Mean and deviation over the seeds; the interval over the data of `values`, (seeds, data)."""
    known = [value for value in seeds if value is not None]
    deviation = float(np.std(known, ddof=1)) if len(known) > 1 else None
    interval = None
    if values is not None:
        low, high = (float(end) for end in mean_interval(values.mean(0)))
        interval = None if np.isnan(low) else [low, high]
    return {"mean": float(np.mean(known)) if known else None, "deviation": deviation, "interval": interval}
