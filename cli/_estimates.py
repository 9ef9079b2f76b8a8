"""Rows that the tables of several estimators have."""

from pyrovae.storage.jsonable import JsonMapping


def setting(summary: JsonMapping) -> str:
    return (
        f"{summary['chains']} chains, {summary['steps']} temperatures, {summary['leapfrog']} leapfrog steps, "
        f"from the {summary['start']}"
    )


def over_data(spread: float | None) -> tuple[str, str]:
    return ("over the data", "-" if spread is None else f"+- {spread:.3f} (standard error of the mean over data)")


def seconds(summary: JsonMapping) -> tuple[str, str]:
    spent = summary["lowering_seconds"]
    compiling = f", {spent:.1f} of them tracing and compiling" if spent >= 0.1 else ""
    return ("seconds", f"{summary['seconds']:.1f}" + compiling)
