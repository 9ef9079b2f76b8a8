"""The figures that a row of a table may have: how each is called and printed."""

from typing import NamedTuple


class Figure(NamedTuple):
    """How a figure is printed.

    Attributes:
        title: of its column.
        format: of the number.
    """

    title: str
    format: str = ".2f"


FIGURES = {
    "nll": Figure("NLL"),
    "elbo": Figure("ELBO"),
    "nll_ais": Figure("NLL by AIS"),
    "nll_same": Figure("NLL of the same data by IS"),
    "rate": Figure("KL"),
    "active_units": Figure("active units", ".0f"),
    "information": Figure("I(x; z)"),
    "perplexity": Figure("perplexity", ".1f"),
    "accuracy": Figure("accuracy", ".4f"),
}
"""By the name that recipes and stored results give them. NLL is -log p(x), or -log p(x | y) of a conditional pair, by
importance sampling; all but units, perplexity and accuracy are nats a datum."""


def shown(name: str, value: float | None) -> str:
    """A figure as it is printed; `-` for none."""
    return "-" if value is None else f"{value:{FIGURES[name].format}}"


def spread(name: str, values: list[float]) -> str:
    """The mean over seeds, and with several of them their standard deviation behind +-."""
    if not values:
        return "-"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return shown(name, mean)
    deviation = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
    form = ".1f" if FIGURES[name].format == ".0f" else FIGURES[name].format
    return f"{mean:{form}} +- {deviation:{form}}"
