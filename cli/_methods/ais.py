"""Annealed importance sampling."""

import math
from typing import TYPE_CHECKING

from pyrovae.cli._estimates import doubt, over_data, seconds, setting
from pyrovae.cli._method import Common
from pyrovae.estimators import Chains
from pyrovae.storage.jsonable import JsonMapping

if TYPE_CHECKING:
    from pyrovae.evaluation import AIS
    from pyrovae.runs.run import Run

ARRAYS = ("log_likelihood", "standard_error", "ess", "acceptance")

Options = Chains


def estimate(run: "Run", options: Chains, common: Common) -> "AIS":
    """One estimate a datum, from chains to its posterior."""
    return run.ais(options.steps, options.chains, leapfrog=options.leapfrog, start=options.start, **common)


def rows(summary: JsonMapping) -> list[tuple[str, str]]:
    """The table of one estimate."""
    error = summary["standard_error"]
    told = "unknown" if error is None or math.isnan(error) else f"{error:.2g}"
    of = f"standard error {told} ({setting(summary)}, {summary['num_data']} data)"
    return [
        ("log-likelihood", f"{summary['log_likelihood']:.3f} nats, {of}"),
        *doubt(summary),
        ("", "a lower bound in expectation; --method bdmc says how far off it is on data of the model"),
        over_data(summary["standard_error_data"]),
        ("effective chains", f"{summary['ess']:.1f} of {summary['chains']} (mean over data)"),
        ("acceptance", f"{summary['acceptance']:.2f} (step sizes are adapted to 0.65)"),
        seconds(summary),
    ]
