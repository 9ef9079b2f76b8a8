"""From the name of a model to the variant: its options, how its pair is built, and what it is trained with."""

import copy
import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pyrovae.config import Config, from_signature
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


GIVEN_TO_MODEL = ("fields", "family")

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
    """

    name: str
    config: type[Config]
    build: Build
    prepare: Callable[[Any, "Dataset"], "Dataset"]
    guide: str | None
    data: str
    training: type[TrainConfig]
    own: bool


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


def _from_callable(name: str, make: Any, own: bool) -> Variant:
    """A class or function that gives a Pair: its parameters with defaults are its options; `fields` and `family` are
    given to it where it has parameters of these names."""
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

    config = from_signature(make, leave_out=GIVEN_TO_MODEL)
    guide = "diagonal" if "family" in takes else None
    return Variant(name, config, _checked(build, name), lambda config, data: data, guide, "digits", TrainConfig, own)


def _checked(build: Build, name: str) -> Build:
    """`build` of a variant, which then raises UsageError where a family is given for a site that the pair has not, and
    says of the pair whether anything of it is no file of pyrovae."""

    def checked(config: Config, fields: Mapping[str, "Field"], family: Family | None) -> "Pair":
        family = family.for_one_pair() if isinstance(family, BySite) else family
        pair = build(config, fields, family)
        if isinstance(family, BySite):
            family.require_all_used()
        pair.own = is_foreign(name, None, config)
        pair.inputs = inputs_of(pair.inputs, fields)
        return pair

    return checked
