"""From the spec of a likelihood or a prior to what makes it: `normal:scale=fixed:sigma=0.5`, `flow:steps=4`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, TypeVar, get_args

from pyrovae.config import Config, Named, Settings, from_signature, parse
from pyrovae.errors import UsageError
from pyrovae.registry.families import GuideSpec
from pyrovae.registry.names import GIVEN, Kind, files, find, of_its_name
from pyrovae.registry.own_code import name_of
from pyrovae.registry.specs import split_spec

PartKind = Literal["likelihoods", "priors"]


@dataclass(frozen=True)
class Part:
    """A likelihood or a prior that a spec names.

    Attributes:
        spec: as the user gave it.
        make: the class or function.
        options: those of the spec, and defaults.
    """

    spec: str
    make: Callable[..., Any]
    options: Config

    def takes(self, name: str) -> bool:
        """Whether it has a parameter of that name."""
        return name in inspect.signature(self.make).parameters

    def __call__(self, given: Mapping[str, object], options: Settings | None = None) -> Any:
        """Makes it of those of `given` that it takes, and of its options, over which `options` go."""
        taken = {name: value for name, value in given.items() if self.takes(name)}
        return self.make(**taken, **(dict(self.options) | dict(options or {})))


def part(kind: PartKind, spec: str) -> Part:
    """Finds a likelihood or a prior by its spec: a name and options. Runs the user's own code where that is named.

    Raises:
        UsageError: for an unknown name or option, a value that does not fit, and what is no likelihood or prior.
    """
    what = kind[:-1]
    name, options = split_spec(spec, kind)
    make = find(kind, name)
    if isinstance(make, ModuleType):
        make = of_its_name(make)
    first, *_ = GIVEN[kind]
    if not callable(make) or first not in inspect.signature(make).parameters:
        raise UsageError(f"{name} is no {what}: it must be a class or function of ({first}, ...)")
    return Part(spec, make, parse(from_signature(make, leave_out=GIVEN[kind]), options, f"{what} {name}"))


C = TypeVar("C", bound=Config)


def settled(kind: PartKind, values: object, read: Callable[[object], C], flags: Mapping[str, Mapping[str, str]]) -> C:
    """Reads a Config that has a field `likelihood` or `prior`, where an option of the spec and a flag say the same.

    What a flag also says is moved there: `prior="flow:steps=2"` is read as `prior="flow", prior_steps=2`, so that a
    recipe has one form and either spelling can be resumed by the other. The user's own code is not looked at: options
    are also read where a pair is handed over, and nobody has said that the code of the run may be run.

    Args:
        kind: of what.
        values: what was given.
        read: makes the Config.
        flags: name -> option of the spec -> field of the Config.

    Raises:
        UsageError: for a name, an option or a value that does not fit, and where a flag says something else.
    """
    config, field = read(values), kind[:-1]
    spec = getattr(config, field)
    if name_of(spec) is not None or not isinstance(values, Mapping):
        return config
    name, given = split_spec(spec, kind)
    options, also = part(kind, spec).options, flags.get(name, {})
    moved = {}
    for option, flag in also.items():
        if option not in given:
            continue
        value, other = getattr(options, option), getattr(config, flag)
        if flag in config.model_fields_set and other != value:
            raise UsageError(
                f"{flag} = {other!r} contradicts {field} {spec}, which has {option} = {value!r}: leave one of them out"
            )
        moved[flag] = value
    if not moved:
        return config
    left = [f"{option}={value}" for option, value in given.items() if option not in also]
    return read({**values, field: ":".join([name, *left]), **moved})


def require_own_parts(options: Config) -> None:
    """Runs the user's own code that options name as likelihood or prior, so that a wrong name or option is told before
    any data are read; raises UsageError for these."""
    for kind, spec in _named(options):
        if name_of(spec) is not None:
            part(kind, spec)


def is_foreign(model: str, guide: GuideSpec | None, options: Config) -> bool:
    """Whether a part of a pair is no file of pyrovae: the user's own code, or that of an installed package."""
    named: list[tuple[Kind, str]] = [("models", model)]
    named += [("guides", name) for name in ([] if guide is None else guide.names)]
    named += [(kind, split_spec(spec, kind)[0]) for kind, spec in _named(options)]
    return any(name not in files(kind) for kind, name in named)


def _named(options: Config) -> Iterator[tuple[PartKind, str]]:
    """The specs of likelihoods and priors among options."""
    for key, info in type(options).model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, Named) and mark.kind in get_args(PartKind):
                kind: Any = mark.kind
                yield kind, getattr(options, key)
