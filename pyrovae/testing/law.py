"""What a law is, what it is tried on, and how two numbers are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyrovae.data.field import Field
from pyrovae.objectives.elbo import require_trainable
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.structure import Structure, require_per_datum
from pyrovae.pairs.traces import draw, particles, sites

Make = Callable[[], Pair]


@dataclasses.dataclass(frozen=True)
class Law:
    """What came of one law.

    Attributes:
        name: of the law.
        passed: None where it does not apply.
        detail: one sentence: what holds; what is wrong, and the cure; or why it does not apply.
    """

    name: str
    passed: bool | None
    detail: str


class LawError(Exception):
    """A law does not hold: one sentence with the cure."""


class DoesNotApplyError(Exception):
    """A law has nothing to say about a pair: why, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Case:
    """What a law is tried on: B data and K particles, primes that are no dim of the data where these are enough."""

    make: Make
    batch: tuple[Tensor, ...]
    B: int
    K: int
    fields: Mapping[str, Field]
    found: Structure

    def pair(self, seed: int = 0) -> Pair:
        """A fresh pair, its weights drawn from `seed`, on the device of the batch."""
        torch.manual_seed(seed)
        return self.make().to(self.batch[0].device)


Trial = Callable[[Case], None]
"""What tries a law: raises LawError where it does not hold."""


@dataclasses.dataclass(frozen=True)
class Entry:
    name: str
    test: Callable[[Case], None]
    needs: Callable[[Pair, Case], Any] | None
    cure: str


LAWS: list[Entry] = []


def law(name: str, cure: str, needs: Callable[[Pair, Case], object] | None = None) -> Callable[[Trial], Trial]:
    """Registers `test(case)`, which raises LawError; its docstring says what holds where it passes.

    Args:
        name: of the law.
        cure: told where the test ends in an exception of its own.
        needs: raises PyrovaeError, with the reason, for a pair to which the law does not apply.
    """

    def register(test: Callable[[Case], None]) -> Callable[[Case], None]:
        LAWS.append(Entry(name, test, needs, cure))
        return test

    return register


def per_datum(pair: Pair, case: Case) -> None:
    require_per_datum(pair, case.batch, "this law")


def trainable(pair: Pair, case: Case) -> None:
    require_trainable(pair, case.batch)


def latents(pair: Pair, case: Case, K: int | None = None) -> dict[str, Tensor]:
    found = sites(draw(particles(pair.guide, K), case.batch), observed=False)
    return {name: site["value"].detach() for name, site in found.items()}


def refuse(told: str) -> None:
    """Raises LawError for a sentence that is not empty."""
    if told:
        raise LawError(told)
