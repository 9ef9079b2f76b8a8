"""`check`: every law on one pair, with the state of the process left as it was found."""

import copy
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyro
import torch
from torch import Tensor

from pyrovae import registry
from pyrovae.data.dataset import Fields
from pyrovae.data.field import Field
from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.pairs.alone import alone
from pyrovae.pairs.inverses import NoInverseError, inverted
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import placed
from pyrovae.pairs.structure import running, structure
from pyrovae.runtime.seeding import seeded
from pyrovae.runtime.turns import Whole
from pyrovae.testing import programs, uses  # noqa: F401  they register the laws, in this order
from pyrovae.testing.law import LAWS, Case, DoesNotApplyError, Entry, Law, LawError, Make

MEANING = ("supports", "arguments")
"""Laws without which the numbers of all others mean nothing."""


def check(
    pair_or_make: Pair | Callable[..., Pair], batch: Sequence[Tensor], fields: Mapping[str, Field] | None = None
) -> list[Law]:
    """Tries every law on a pair. Draws from generators of its own; the pair, if one is given, is copied.

    Args:
        pair_or_make: a class or function that makes a fresh pair with random weights at every call, or a Pair. It is
            given `fields`, and `family`, a diagonal guide, where it asks for them, as by `pyrovae.fit`.
        batch: real data, as `pair.model(*batch)` takes them; 7 rows or a few more are enough, others are left out.
        fields: what the batch holds, by name; None leaves the shapes of generated sites unchecked.

    Raises:
        UsageError: for fewer than 2 rows, or where a function asks for fields and there are none.
    """
    if not batch or first_dim(batch) < 2:
        raise UsageError("the laws compare data with each other: give a batch of at least 2, better 7 or more")
    make = _make(pair_or_make, fields)
    with _as_found():
        try:
            case = _case(make, batch, fields or {})
        except Exception as error:
            cure = "" if isinstance(error, PyrovaeError) else f": {LAWS[0].cure}"
            first = Law(LAWS[0].name, False, f"{_told(error)}{cure}")
            return [first, *(Law(entry.name, None, "not tried, as the pair does not run") for entry in LAWS[1:])]
        laws = list[Law]()
        for entry in LAWS:
            # There no log-probability means anything, and Pyro's checks stop every law at the first one.
            stray = [law for law in laws if law.name in MEANING and law.passed is False]
            if stray:
                laws.append(Law(entry.name, None, f"not tried, as the law '{stray[0].name}' is broken"))
            else:
                laws.append(_tried(entry, case))
        return laws


def _make(given: Pair | Callable[..., Pair], fields: Mapping[str, Field] | None) -> Make:
    """What makes a pair without an argument."""
    if isinstance(given, Pair):
        return functools.partial(copy.deepcopy, given)
    try:
        asks = registry.GIVEN_TO_MODEL & inspect.signature(given).parameters.keys()
    except (TypeError, ValueError):  # of a builtin, which asks for nothing by name
        return given
    if not asks:
        return given
    variant = registry.handed_over(given)
    if "fields" in asks and not fields:
        raise UsageError(
            f"{variant.name} asks for the fields of the data: give them, check({variant.name}, batch, dataset.fields)"
        )
    family = None if variant.guide is None else registry.family(variant.guide)
    return lambda: variant.build(variant.config(), Fields(fields or {}, "batch"), family)


def _case(make: Make, batch: Sequence[Tensor], fields: Mapping[str, Field]) -> Case:
    pair = make()
    if not isinstance(pair, Pair):
        raise LawError(f"a {type(pair).__name__} was made, and must be a pyrovae.Pair(model, guide, inputs)")
    if len(batch) != len(pair.inputs):
        raise LawError(
            f"the batch has {len(batch)} tensors, and the pair reads {', '.join(pair.inputs)}: give one for each"
        )
    lengths = {len(tensor) for tensor in batch}
    if len(lengths) > 1:
        raise LawError(f"the tensors of the batch have {sorted(lengths)} rows: give all the same number")
    taken = {size for tensor in batch for size in tensor.shape[1:]}
    B = _prime((7, 11, 13, 5, 3), taken, first_dim(batch))
    K = _prime((5, 3, 7), taken | {B}, 7)
    part = placed(pair, [tensor[:B] for tensor in batch])
    with running(pair, part):
        return Case(make, part, B, K, fields, structure(pair, part))


def _prime(primes: Sequence[int], taken: Iterable[int], most: int) -> int:
    possible = [prime for prime in primes if prime <= most]
    return next((prime for prime in possible if prime not in taken), possible[0] if possible else most)


@contextmanager
def _as_found() -> Iterator[None]:
    """Generators and param store stand afterwards as they stood; inside, Pyro checks what it can."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    store = pyro.get_param_store()
    # Whole, as the store and the filters of warnings cannot be left and entered again between two threads.
    with Whole(), alone(), seeded(0, device), store.scope(), pyro.validation_enabled(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _tried(entry: Entry, case: Case) -> Law:
    try:
        if entry.needs is not None:
            try:
                entry.needs(case.pair(), case)
            except PyrovaeError as error:
                if case.found.missing or case.found.misshapen or case.found.stored:  # said once, by the first law
                    return Law(entry.name, None, f"not tried, as the law '{LAWS[0].name}' is broken")
                return Law(entry.name, None, f"does not apply: {error}")
        torch.manual_seed(1)
        with inverted():
            entry.test(case)
    except DoesNotApplyError as reason:
        return Law(entry.name, None, f"does not apply: {reason}")
    except (LawError, NoInverseError) as broken:
        return Law(entry.name, False, str(broken))
    except Exception as error:
        return Law(entry.name, False, f"{_told(error)}: {entry.cure}")
    return Law(entry.name, True, (entry.test.__doc__ or "").strip())


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    if isinstance(error, PyrovaeError | LawError):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
