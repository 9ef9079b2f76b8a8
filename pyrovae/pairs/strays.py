"""Values outside the supports of a model: data that have no likelihood, and draws of a guide that have no density."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pyro import poutine
from torch import Tensor

from pyrovae.errors import PyrovaeError
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.supports import family_of, is_everything, outside, words
from pyrovae.pairs.traces import draw, sites
from pyrovae.runtime import memory

ROWS = 512
"""Data whose values are looked at together."""


class Stray(NamedTuple):
    """A value outside the support of its site.

    Attributes:
        site: its name.
        observed: whether the data have it; else the guide drew it.
        row: of the datum.
        value: one number of it.
        family: the distribution, by name.
        support: its constraint, in Pyro's words.
    """

    site: str
    observed: bool
    row: int
    value: float
    family: str
    support: str


def strays(p: poutine.Trace) -> Iterator[Stray]:
    """The first value outside the support of each site of a trace of the model. What is not a number is no value: where
    it comes from is another question, and a score of it is not finite."""
    for name, site in sites(p).items():
        fn, values = site["fn"], site["value"]
        if is_everything(fn):
            continue
        found = outside(fn, values)
        bad = found.flatten(1).any(1) if found.dim() > 1 else found
        bad = bad & ~values.flatten(1).isnan().any(1) if values.dim() > 1 else bad & ~values.isnan()
        if not bad.any():
            continue
        row = int(bad.nonzero()[0])
        each = found.shape == values.shape  # else of whole vectors, as of a simplex
        at = found.nonzero()[found.nonzero()[:, 0] == row][0].tolist() if each else [row]
        number = values[tuple(at)].flatten()[0].item()
        says = words(fn, values.shape, at)
        yield Stray(name, site["is_observed"], row, float(number), family_of(fn), says)


def require_supported(pair: Pair, batch: Sequence[Tensor], where: str = "", start: int = 0) -> None:
    """Looks at all data, by one draw of the guide each; leaves weights, modes and generators as they were.

    Args:
        pair: whose sites have log-probabilities of shape (B,).
        batch: N data.
        where: they are, in words that follow "datum 3".
        start: the number of the first.

    Raises:
        PyrovaeError: where the data, or what the guide draws, lie outside the support of the model's distributions:
            a log-probability there is a finite number without meaning.
    """

    def work(part: slice) -> None:
        p, q = _drawn(pair, [tensor[part] for tensor in batch])
        if part.start == 0:
            _refuse_wide(p, q)
        for found in strays(p):
            raise PyrovaeError(told(found._replace(row=found.row + part.start + start), where))

    with scoring(pair, 0):
        for _ in memory.halved(first_dim(batch), ROWS, work, batch[0].device):
            pass


def require_observed(pair: Pair, batch: Sequence[Tensor], where: str = "") -> None:
    """Looks at what the model observes, with latents of its own, before anything computes a log-probability.

    Raises:
        PyrovaeError: as `require_supported`.
    """
    with scoring(pair, 0):
        p = draw(pair.model, batch)
    for stray in strays(p):
        if stray.observed and sites(p)[stray.site]["mask"] is None:  # a handler's mask is refused as what it is
            raise PyrovaeError(told(stray, where))


def _drawn(pair: Pair, batch: Sequence[Tensor]) -> tuple[poutine.Trace, poutine.Trace]:
    """Both traces of one draw without log-probabilities: that of a class that does not exist ends a GPU's work."""
    q = draw(pair.guide, batch)
    return draw(poutine.replay(pair.model, trace=q), batch), q


def _refuse_wide(p: poutine.Trace, q: poutine.Trace) -> None:
    """A guide over all real numbers leaves the support of a prior that is not, be it in one draw of many."""
    prior = sites(p, observed=False)
    for name, site in sites(q, observed=False).items():
        fn = prior[name]["fn"]
        if is_everything(site["fn"]) and site["fn"].has_rsample and not is_everything(fn):
            raise PyrovaeError(
                f"the guide draws site '{name}' from all real numbers ({family_of(site['fn'])}), and the model has a "
                f"{family_of(fn)} there, of support {words(fn)}: give the guide a distribution on the "
                f"support of the prior"
            )


def told(stray: Stray, where: str = "") -> str:
    """In a sentence, with the cure."""
    beyond = f"outside the support of its {stray.family}, {stray.support}"
    if stray.observed:
        return (
            f"site '{stray.site}' observes {stray.value:g} in datum {stray.row}{where}, {beyond}: such a value has no "
            f"likelihood; take a distribution of such values, or other data"
        )
    return (
        f"the guide draws {stray.value:g} for site '{stray.site}' of datum {stray.row}{where}, {beyond} in the model: "
        f"give the guide a distribution on the support of the prior"
    )
