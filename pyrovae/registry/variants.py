"""From the name of a model to the variant: its options, how its pair is built, and what it is trained with."""

import copy
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from pyrovae.config import Config, from_signature
from pyrovae.data.options import DataConfig
from pyrovae.data.synonyms import inputs_of
from pyrovae.errors import UsageError
from pyrovae.options import TrainConfig
from pyrovae.registry.excerpts import NeedsImportError, options_of_model
from pyrovae.registry.families import BySite, Family
from pyrovae.registry.names import find
from pyrovae.registry.parts import is_foreign

if TYPE_CHECKING:
    from pyrovae.data import Dataset, Field
    from pyrovae.pairs.pair import Pair


GIVEN_TO_MODEL = frozenset(("fields", "family"))

Build = Callable[[Any, Mapping[str, "Field"], Family | None], "Pair"]
"""From the options of a variant, each a Config of its own, the fields of the data and a guide family to a pair."""


@dataclass(frozen=True)
class Variant:
    """A way to build a pair.

    Attributes:
        name: as the user gave it.
        config: the options.
        build: (options, fields of the data, guide family, or None where the variant takes none) -> Pair; raises
            UsageError where the family is given for each site, and the pair asks for other sites.
        prepare: (options, data) -> the data as this pair reads them.
        guide: spec of the default guide; None where the variant brings its own and takes no family.
        training: options of training, with the variant's own defaults.
        data: the default data.
        own: whether it is the user's code rather than an installed name.
        by_name: whether it is found again by its name, and not a class or function that was handed over in Python.
    """

    name: str
    config: type[Config]
    build: Build
    prepare: Callable[[Any, "Dataset"], "Dataset"]
    guide: str | None
    data: str
    training: type[TrainConfig]
    own: bool
    by_name: bool = True


def variant(name: str) -> Variant:
    """Finds a variant by name; raises UsageError where there is none."""
    found = find("models", name)
    own = ":" in name
    if isinstance(found, ModuleType):
        if not hasattr(found, "Config") or not hasattr(found, "build"):
            raise UsageError(f"{name} is a module without Config and build: name a class or function in it")
        return Variant(
            name=name,
            config=found.Config,
            build=_checked(found.build, name),
            prepare=getattr(found, "prepare", lambda config, data: data),
            guide=getattr(found, "GUIDE", "diagonal"),
            data=getattr(found, "DATA", "digits"),
            training=getattr(found, "Training", TrainConfig),
            own=own,
        )
    return _from_callable(name, found, own)


def handed_over(make: Callable[..., object]) -> Variant:
    """The variant of a class or function that was handed over in Python and gives a Pair.

    As of one that is named, its parameters are options, and `fields` and `family` are given to it. A parameter that can
    be no option, as its name is one of training or data or JSON has no such value, keeps its default.

    Raises:
        UsageError: where it is none, or a parameter has neither a default nor one of these names.
    """
    from torch import nn

    name = name_of_callable(make)
    if isinstance(make, str) or not callable(make) or isinstance(make, nn.Module):
        raise UsageError(
            f"the model is of type {name}: give a name, my_model.py:MyVAE, a Pair, or a function that gives one"
        )
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}: wrap it in a function that gives a Pair") from None
    varied = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for each in parameters:
        if each.default is each.empty and each.kind not in varied and each.name not in GIVEN_TO_MODEL:
            raise UsageError(
                f"{name}: missing a required argument: '{each.name}': give it a default, or take `fields`, the fields "
                f"of the data (fields['x'].shape), which are given"
            )
    kept = {each.name for each in parameters if each.name in TAKEN or not _is_option(make, each.name, parameters)}
    made = _from_callable(name, make, True, kept)
    return replace(made, by_name=False)


def name_of_callable(make: object) -> str:
    """What a person calls a class or function; of what is neither its type."""
    while isinstance(make, partial):
        make = make.func
    name: str = getattr(make, "__name__", type(make).__name__)
    return name


TAKEN = frozenset((*TrainConfig.model_fields, *DataConfig.model_fields))
"""Names of options that no model may have, too."""


def _is_option(make: Callable[..., object], name: str, parameters: Iterable[inspect.Parameter]) -> bool:
    """Whether a Config can hold a parameter, and JSON its default."""
    try:
        config = from_signature(make, {each.name for each in parameters} - {name}, lenient=True)
        config().model_dump_json()
    except (PydanticUserError, ValidationError, PydanticSerializationError, UsageError):
        return False
    return True


def variant_options(name: str) -> tuple[type[Config], type[TrainConfig]]:
    """What may be set of a variant and of its training: classes to be listed, not made. Imports torch only where the
    file of the variant cannot be read without.

    Raises:
        UsageError: where there is none of that name.
    """
    if "torch" not in sys.modules:
        with suppress(NeedsImportError):
            return options_of_model(name, GIVEN_TO_MODEL)
    found = variant(name)
    return found.config, found.training


def _from_callable(name: str, make: Any, own: bool, kept: Collection[str] = ()) -> Variant:
    """A class or function that gives a Pair: its parameters with defaults are its options, but for those that are
    `kept` as they are; `fields` and `family` are given to it where it has parameters of these names."""
    from pyrovae.pairs.pair import Pair

    if isinstance(make, Pair):
        pair, make = make, lambda: copy.deepcopy(pair)  # each run has a pair of its own
    if not callable(make):
        raise UsageError(f"{name} is a {type(make).__name__}: it must be a Pair, or a class or function that gives one")
    takes = inspect.signature(make).parameters

    def build(config: Config, fields: Mapping[str, "Field"], family: Family | None) -> Pair:
        given = {key: value for key, value in {"fields": fields, "family": family}.items() if key in takes}
        made = make(**given, **{key: getattr(config, key) for key in type(config).model_fields})
        if not isinstance(made, Pair):
            raise UsageError(
                f"{name} gives a {type(made).__name__}, and must give a pyrovae.Pair(model, guide, inputs)"
            )
        return made

    config = from_signature(make, leave_out=(*GIVEN_TO_MODEL, *kept), lenient=True)
    guide = "diagonal" if "family" in takes else None
    return Variant(
        name, config, _checked(build, name, own), lambda config, data: data, guide, "digits", TrainConfig, own
    )


def _checked(build: Build, name: str, own: bool = False) -> Build:
    """`build` of a variant, which then raises UsageError where a family is given for a site that the pair has not, and
    says of the pair whether anything of it is no file of pyrovae."""

    def checked(config: Config, fields: Mapping[str, "Field"], family: Family | None) -> "Pair":
        family = family.for_one_pair() if isinstance(family, BySite) else family
        pair = build(config, fields, family)
        if isinstance(family, BySite):
            family.require_all_used()
        pair.own = own or is_foreign(name, None, config)
        pair.inputs = inputs_of(pair.inputs, fields)
        return pair

    return checked
