"""What every score assumes of its pair: tried once a score, and told beside the number."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from torch import Tensor

from pyrovae.pairs.assumptions import FEW, Guide, broken, interacts, own_guide, unnormalised
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import placed
from pyrovae.pairs.structure import Structure
from pyrovae.runtime import memory
from pyrovae.storage.jsonable import Json


def tried(
    pair: Pair,
    batch: Sequence[Tensor],
    found: Structure,
    seed: int = 0,
    guide: Guide = own_guide,
    model_only: bool = False,
) -> tuple[str, ...]:
    """What does not hold that a score of these data assumes, each in a sentence: of any pair whether it scores by
    log-probabilities, of one of the user's own all of `pyrovae.pairs.assumptions.broken`, whose arguments these are."""
    told = unnormalised(found)
    return tuple(told + (broken(pair, batch, found, seed, guide, model_only) if pair.own else []))


def mixed(pair: Pair, batch: Sequence[Tensor], seed: int = 0) -> tuple[str, ...]:
    """Whether rows interact in a pair of the user's own: all that moments of q(z | x) assume."""
    if not pair.own or first_dim(batch) < 2:
        return ()
    few = placed(pair, [tensor[:FEW] for tensor in batch])
    with scoring(pair, seed), suppress(memory.NoMemoryError), memory.tried(few[0].device):
        return tuple(filter(None, [interacts(pair, few)]))
    return ()


def verdict(broken: Sequence[str]) -> str | None:
    """In a sentence whose subject is the number; None where nothing is known against it."""
    return f"is not to be trusted: {broken[0]}" if broken else None


def trust(broken: Sequence[str]) -> Json:
    """For print and JSON, by the names that the summary of importance sampling has: `trusted` is False, or None where
    nothing is known against the number, which is no proof of it."""
    return {"trusted": False if broken else None, "verdict": verdict(broken), "broken": [*broken]}
