"""The figures of a comparison, one Column each: the table, compare.json and compare.npz are made of this list.

To add a figure, add a Column to COLUMNS. A tensor of one value a datum, (N,), gets a mean, a bootstrap interval over
the data and its place in compare.npz; a number is of the run as a whole; None is a figure that the run does not have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from torch import Tensor, nn

from pyrovae.comparison.scored import Scored

Value = Tensor | float | None


@dataclasses.dataclass(frozen=True)
class Column:
    """One figure.

    Attributes:
        name: its key in compare.json and compare.npz.
        title: its heading.
        of: computes it of a run: (N,) one value a datum, a number, or None.
        format: of the mean, as in f"{mean:{format}}".
        paired: whether the table says by how much each guide differs from the baseline, datum by datum.
        shown: whether it has a place in the table.
        of_gaps: whether it is of the data whose gap is taken apart, which have a table of their own.
    """

    name: str
    title: str
    of: Callable[[Scored], Value]
    format: str = ".2f"
    paired: bool = False
    shown: bool = True
    of_gaps: bool = False


def _elbo(scored: Scored) -> Value:
    return None if scored.elbo is None else scored.elbo.elbo


def _log_likelihood(scored: Scored) -> Value:
    return None if scored.likelihood is None else scored.likelihood.log_likelihood


def _gap(scored: Scored) -> Value:
    """log p(x) - ELBO = KL(q(z | x) || p(z | x)), as far as the estimate of log p(x) reaches."""
    if scored.elbo is None or scored.likelihood is None:
        return None
    return scored.likelihood.log_likelihood - scored.elbo.elbo


def _rate(scored: Scored) -> Value:
    return None if scored.elbo is None else scored.elbo.rate


def _active_units(scored: Scored) -> Value:
    return None if scored.diagnostics is None else sum(scored.diagnostics.active_units.values())


def _ess(scored: Scored) -> Value:
    return None if scored.likelihood is None else scored.likelihood.ess


def _pareto_k(scored: Scored) -> Value:
    return None if scored.likelihood is None else scored.likelihood.pareto_k


def _of_gap(name: str) -> Callable[[Scored], Value]:
    return lambda scored: None if scored.gap is None else getattr(scored.gap, name)


def _ais(scored: Scored) -> Value:
    found = None if scored.gap is None else scored.gap.found.get("ais")
    return None if found is None else found.log_likelihood


def _step_seconds(scored: Scored) -> Value:
    epochs = scored.run.metrics
    mean: Value = sum(epoch["train_seconds"] for epoch in epochs) / sum(epoch["steps"] for epoch in epochs)
    return mean


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


COLUMNS: tuple[Column, ...] = (
    Column("elbo", "ELBO", _elbo, paired=True),
    Column("log_likelihood", "log-likelihood", _log_likelihood, paired=True),
    Column("gap", "gap", _gap),
    Column("rate", "rate", _rate),
    Column("active_units", "active units", _active_units, ".3g"),
    Column("ess", "ESS", _ess, ".1f"),
    Column("pareto_k", "Pareto k", _pareto_k),
    Column("log_p", "log p", _of_gap("log_likelihood"), of_gaps=True),
    Column("ais", "by AIS", _ais, of_gaps=True),
    Column("best", "best ELBO", _of_gap("best"), paired=True, of_gaps=True),
    Column("approximation", "approximation gap", _of_gap("approximation"), ".3f", of_gaps=True),
    Column("amortization", "amortization gap", _of_gap("amortization"), ".3f", of_gaps=True),
    Column("gain", "last round gained", _of_gap("gain"), ".3f", of_gaps=True),
    Column("step_seconds", "s a step", _step_seconds, ".2g"),
    Column("seconds", "training s", lambda scored: scored.run.outcome.train_seconds, ".1f", shown=False),
    Column("guide_parameters", "guide parameters", lambda scored: _count(scored.run.pair.guide), ",.0f"),
    Column("parameters", "all parameters", lambda scored: scored.run.outcome.parameters, ",.0f"),
)
