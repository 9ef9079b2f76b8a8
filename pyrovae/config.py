"""Typed configurations: what a person may set, with its type, bounds and one line of help, and nothing else."""

import inspect
import sys
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, create_model, field_validator

from pyrovae.errors import UsageError, brief, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Config(BaseModel):
    """Base of every configuration: frozen, typed, finite, and an unknown key is an error.

    To add an option, add a field with a default and a description:
    `latent_dim: int = Field(20, ge=1, description="dimensions of z")`. The command line makes
    `--latent-dim` of it, a TOML file takes `latent_dim = 20`, Python takes `latent_dim=20`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_true(cls, value: object, info: ValidationInfo) -> object:
        """True would be read as the number 1."""
        parts = value if isinstance(value, list | tuple) else (value,)
        takes = cls.model_fields[info.field_name or ""].annotation
        if any(isinstance(part, bool) for part in parts) and not _takes_true(takes):
            raise ValueError("this is no number")
        return value


def _takes_true(annotation: object) -> bool:
    """Whether an option may be True."""
    return annotation in (bool, Any, object) or any(_takes_true(each) for each in get_args(annotation))


C = TypeVar("C", bound=Config)

Settings = Mapping[str, Any]
"""Options by name, as a person or a file gave them, before a Config has read them or after."""

Options = dict[str, Any]
"""The same where some are still added or taken out."""

REASONS = {"too_short": "give at least one value"}
"""What is said instead of pydantic's own words."""


@dataclass(frozen=True)
class Named:
    """Marks an option that is a spec of a kind of thing: `Annotated[str, Named("priors")]`. The command line lists the
    names of that kind in its help.

    Attributes:
        kind: a folder of the registry.
    """

    kind: str


def parse(config: type[C], values: Settings, what: str) -> C:
    """Makes a `config` of `values`; raises UsageError, one sentence, where a key or a value does not fit.

    Args:
        config: the class to make.
        values: what was given.
        what: whose options these are, for the error ("model cvae").
    """
    refuse_unknown(values, config.model_fields, what)
    try:
        return config(**values)
    except ValidationError as error:
        for each in error.errors():
            told = each.get("ctx", {}).get("error")
            if isinstance(told, UsageError):  # of a validator: one sentence already
                raise told from None
        first = {e["loc"][:1]: e for e in reversed(error.errors())}  # of a field, what is wrong with it first
        raise UsageError("; ".join(_sentence(e, what) for e in reversed(first.values()))) from None


def refuse_unknown(values: Collection[str], known: Collection[str], what: str) -> None:
    """Raises UsageError, with the nearest name, for the first of `values` that is not among `known`."""
    for name in values:
        if name not in known:
            raise UsageError(f"{what} has no option '{brief(name)}'{did_you_mean(name, known)}")


def _sentence(error: "ErrorDetails", what: str) -> str:
    name = ".".join(str(part) for part in error["loc"][:1]) or "options"
    reason = REASONS.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"{what}: {name} = {brief(repr(error['input']))}: {reason[:1].lower()}{reason[1:]}"


def from_signature(
    function: Callable[..., object], leave_out: Collection[str] = (), lenient: bool = False
) -> type[Config]:
    """The Config whose fields are the parameters of `function` that have defaults.

    Where it is `lenient`, an annotation that only a type checker can read (its names are imported for it alone) says
    nothing; else it raises NameError.
    """
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function, eval_str=not lenient).parameters.items():
        if name in leave_out or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty:
            raise UsageError(f"{getattr(function, '__qualname__', function)}: parameter '{name}' needs a default value")
        annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
        if isinstance(annotation, str):
            annotation = _evaluated(annotation, function)
        fields[name] = (annotation, parameter.default)
    return create_model("Config", __base__=Config, **fields)


def _evaluated(annotation: str, function: Callable[..., object]) -> object:
    """What an annotation stands for in the module of a function; Any where that cannot be told."""
    while isinstance(function, partial):
        function = function.func
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    try:
        found: object = eval(annotation, dict(vars(module)) if module else {})
    except Exception:
        return Any
    return found


def read_toml(path: Path) -> Options:
    """The keys of a TOML file; raises UsageError where it is missing or no TOML."""
    if path.exists() and not path.is_file():
        raise UsageError(f"config file {path} is a folder, a pipe or a device: give a file")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"config file {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # bytes, TOML, a number of thousands of digits, lists in lists
        raise UsageError(f"config file {path} is no TOML: {brief(error)}") from None
