"""Bounds from both sides on data that the model simulates."""

from typing import TYPE_CHECKING

from pyrovae.cli._estimates import doubt, seconds, setting
from pyrovae.cli._method import Common
from pyrovae.estimators import Chains
from pyrovae.storage.jsonable import JsonMapping

if TYPE_CHECKING:
    from pyrovae.evaluation import Sandwich
    from pyrovae.runs.run import Run

ARRAYS = ("lower", "upper", "ess", "ess_reverse", "acceptance", "acceptance_reverse")

Options = Chains


def estimate(run: "Run", options: Chains, common: Common) -> "Sandwich":
    """Two bounds a simulated datum, from chains to and from its posterior."""
    return run.bdmc(options.steps, options.chains, leapfrog=options.leapfrog, start=options.start, **common)


def rows(summary: JsonMapping) -> list[tuple[str, str]]:
    """The table of one estimate."""

    def bound(name: str) -> str:
        error = summary[f"{name}_standard_error"]
        return f"{summary[name]:.3f} nats" + ("" if error is None else f" +- {error:.3f} (over the data)")

    return [
        ("data", f"{summary['num_data']} drawn from the model"),
        ("lower bound", f"{bound('lower')}, {setting(summary)}"),
        ("upper bound", f"{bound('upper')}, the same backwards from exact draws of the posterior"),
        *doubt(summary),
        ("sandwich width", f"{bound('gap')}: {width(summary)}"),
        ("effective chains", f"{summary['ess']:.1f} up, {summary['ess_reverse']:.1f} down, of {summary['chains']}"),
        ("acceptance", f"{summary['acceptance']:.2f} up, {summary['acceptance_reverse']:.2f} down"),
        seconds(summary),
    ]


def width(summary: JsonMapping) -> str:
    error = summary["gap_standard_error"]
    if error is None:
        return "of one datum this says little"
    if summary["gap"] < 2 * error:
        most = max(summary["gap"], 0) + 2 * error
        return f"not to be told from 0, so AIS with these settings is off by less than about {most:.2g} on such data"
    return "AIS with these settings is off by about this or less on such data"
