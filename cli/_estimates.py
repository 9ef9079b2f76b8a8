"""Rows that the tables of several estimators have."""

from typing import TYPE_CHECKING

from pyrovae.storage.jsonable import JsonMapping

if TYPE_CHECKING:
    import numpy as np


def setting(summary: JsonMapping) -> str:
    return (
        f"{summary['chains']} chains, {summary['steps']} temperatures, {summary['leapfrog']} leapfrog steps, "
        f"from the {summary['start']}"
    )


def doubt(summary: JsonMapping) -> list[tuple[str, str]]:
    """What is known against a number; no row where that is nothing."""
    return [("", summary["verdict"])] if summary["verdict"] else []


def over_data(spread: float | None) -> tuple[str, str]:
    return ("over the data", "-" if spread is None else f"+- {spread:.3f} (standard error of the mean over data)")


def seconds(summary: JsonMapping) -> tuple[str, str]:
    spent = summary["lowering_seconds"]
    compiling = f", {spent:.1f} of them tracing and compiling" if spent >= 0.1 else ""
    return ("seconds", f"{summary['seconds']:.1f}" + compiling)


def beside(summary: JsonMapping) -> dict[str, "np.ndarray"]:
    """What is known against the values of each datum, an array `broken` beside theirs; none where that is nothing."""
    import numpy as np  # not before a file is written: help would wait for it

    broken = summary.get("broken")  # an estimator of a package need not say
    return {"broken": np.array(broken)} if broken else {}
