"""From the spec of an objective to its class: what it takes and refuses, and how it is built."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pyrovae.config import Config, from_signature, parse
from pyrovae.errors import UsageError
from pyrovae.options import TrainConfig
from pyrovae.registry.names import GIVEN, find, of_its_name
from pyrovae.registry.specs import split_spec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pyrovae.pairs.pair import Pair


@dataclass(frozen=True)
class Bound:
    """An objective by its spec; `pyrovae.objectives` says what its class holds.

    Attributes:
        name: as the user gave it, without options.
        least: particles that it needs.
        takes: the options of training that mean something to it and not to every objective.
        refuse: raises UsageError for options of training that do not go together.
        build: (pair, batch, options of training) -> the module, with its own options in place.
    """

    name: str
    least: int
    takes: Sequence[str]
    refuse: Callable[[TrainConfig], None]
    build: Callable[["Pair", Sequence["Tensor"], TrainConfig], "nn.Module"]


def bound(spec: str) -> Bound:
    """Finds an objective by its spec, a name and its own options: `iwae`, `my_file.py:MyObjective:tau=0.5`.

    Raises:
        UsageError: where there is none of that name, or an option is unknown or does not fit.
    """
    name, options = split_spec(spec, "objectives")
    found = _class(name)
    config = parse(bound_config(name), options, f"objective {name}")
    return Bound(
        name,
        getattr(found, "least", 1),
        getattr(found, "takes", ()),
        getattr(found, "refuse", lambda config: None),
        functools.partial(found.build, **dict(config)),
    )


def bound_config(name: str) -> type[Config]:
    """The options that an objective alone has; raises UsageError where `name` is none."""
    build = getattr(_class(name), "build", None)
    if not callable(build) or not set(GIVEN["objectives"]) <= set(inspect.signature(build).parameters):
        raise UsageError(f"{name} is no objective: it must be a class with a classmethod build(pair, batch, config)")
    config = from_signature(build, leave_out=GIVEN["objectives"])
    if twice := [option for option in config.model_fields if option in TrainConfig.model_fields]:
        raise UsageError(
            f"objective {name}: its option '{twice[0]}' is also one of training: rename the parameter, or read it from "
            f"config"
        )
    return config


def _class(name: str) -> Any:
    found = find("objectives", name)
    return of_its_name(found) if isinstance(found, ModuleType) else found
