"""Rows of the tables that loglik and gap print."""

import math
from collections.abc import Mapping
from typing import Any

from pyrovae.cli._output import likelihood_line


def importance_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
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


def annealed_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    error = summary["standard_error"]
    told = "unknown" if error is None or math.isnan(error) else f"{error:.2g}"
    of = f"standard error {told} ({setting(summary)}, {summary['num_data']} data)"
    return [
        ("log-likelihood", f"{summary['log_likelihood']:.3f} nats, {of}"),
        ("", "a lower bound in expectation; --method bdmc says how far off it is on data of the model"),
        over_data(summary["standard_error_data"]),
        ("effective chains", f"{summary['ess']:.1f} of {summary['chains']} (mean over data)"),
        ("acceptance", f"{summary['acceptance']:.2f} (step sizes are adapted to 0.65)"),
        seconds(summary),
    ]


def sandwich_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    def bound(name: str) -> str:
        error = summary[f"{name}_standard_error"]
        return f"{summary[name]:.3f} nats" + ("" if error is None else f" +- {error:.3f} (over the data)")

    return [
        ("data", f"{summary['num_data']} drawn from the model"),
        ("lower bound", f"{bound('lower')}, {setting(summary)}"),
        ("upper bound", f"{bound('upper')}, the same backwards from exact draws of the posterior"),
        ("sandwich width", f"{bound('gap')}: {width(summary)}"),
        ("effective chains", f"{summary['ess']:.1f} up, {summary['ess_reverse']:.1f} down, of {summary['chains']}"),
        ("acceptance", f"{summary['acceptance']:.2f} up, {summary['acceptance_reverse']:.2f} down"),
        seconds(summary),
    ]


def width(summary: Mapping[str, Any]) -> str:
    error = summary["gap_standard_error"]
    if error is None:
        return "of one datum this says little"
    if summary["gap"] < 2 * error:
        most = max(summary["gap"], 0) + 2 * error
        return f"not to be told from 0, so AIS with these settings is off by less than about {most:.2g} on such data"
    return "AIS with these settings is off by about this or less on such data"


def setting(summary: Mapping[str, Any]) -> str:
    return (
        f"{summary['chains']} chains, {summary['steps']} temperatures, {summary['leapfrog']} leapfrog steps, "
        f"from the {summary['start']}"
    )


def over_data(spread: float | None) -> tuple[str, str]:
    return ("over the data", "-" if spread is None else f"+- {spread:.3f} (standard error of the mean over data)")


def seconds(summary: Mapping[str, Any]) -> tuple[str, str]:
    spent = summary["lowering_seconds"]
    compiling = f", {spent:.1f} of them tracing and compiling" if spent >= 0.1 else ""
    return ("seconds", f"{summary['seconds']:.1f}" + compiling)
