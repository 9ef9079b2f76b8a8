"""Importance sampling."""

from typing import TYPE_CHECKING, Any

import click
from pydantic import Field

from pyrovae.cli._estimates import over_data, seconds
from pyrovae.cli._method import Common
from pyrovae.cli._output import likelihood_line
from pyrovae.cli._ranges import Whole
from pyrovae.errors import MOST, UsageError
from pyrovae.estimators import Importance
from pyrovae.storage.jsonable import JsonMapping

if TYPE_CHECKING:
    from pyrovae.evaluation import LogLikelihood
    from pyrovae.runs.run import Run

ARRAYS = ("log_likelihood", "standard_error", "ess", "pareto_k", "smoothed", "drawn")

PROCESSES = True


class Options(Importance):
    """Those of the estimate, and how many of the data are shown."""

    worst: int | None = Field(None, ge=1, le=MOST, description="Show so many of the data that are least to be trusted.")


class Chunk(Whole):
    """A number of samples, or `auto`, which is None."""

    def __init__(self) -> None:
        super().__init__(min=1, max=MOST)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "auto" else super().convert(value, param, ctx)


TYPES = {"chunk": Chunk()}


def require(options: Options) -> None:
    """Raises UsageError for an option that has no effect without another."""
    given = options.model_fields_set
    for name, missing, with_what in (
        ("wider", options.proposal != "widened", "--proposal widened"),
        ("max_samples", options.target_se is None, "--target-se"),
    ):
        if name in given and missing:
            raise UsageError(f"--{name.replace('_', '-')} has no effect without {with_what}: give both or none")


def estimate(run: "Run", options: Options, common: Common) -> "LogLikelihood":
    """One estimate a datum, from K draws of the guide or another proposal."""
    return run.log_likelihood(
        options.samples,
        chunk=options.chunk,
        proposal=options.proposal,
        wider=options.wider,
        target_se=options.target_se,
        max_samples=options.max_samples,
        **common,
    )


def rows(summary: JsonMapping) -> list[tuple[str, str]]:
    """The table of one estimate."""
    k, above = summary["pareto_k"], summary["pareto_k_above"]
    tail = (
        "unknown"
        if above is None or k is None
        else f"{k:.2f} (median), above its threshold for {100 * above:.1f} % of the data"
    )
    drawn = f"{summary['samples_mean']:.0f}"
    if summary["samples_mean"] < summary["samples"]:
        drawn += f" samples, at most {summary['samples']}"
    return [
        ("log-likelihood", likelihood_line(summary)),
        ("", summary["verdict"]),
        over_data(summary["standard_error_data"]),
        ("smoothed (PSIS)", f"{summary['smoothed']:.3f}"),
        ("Pareto k", tail),
        ("effective samples", f"{summary['ess']:.1f} of {drawn} (mean over data)"),
        ("worst data", ", ".join(map(str, summary["worst"])) + " (rows, by Pareto k)"),
        seconds(summary),
    ]
