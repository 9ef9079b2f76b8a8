"""A recipe: everything that determines a fit, as it is written to run.json and read from a TOML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pyrovae import registry
from pyrovae.config import Config, Options, Settings, parse, refuse_unknown
from pyrovae.data.options import DataConfig
from pyrovae.errors import UsageError, option
from pyrovae.options import TrainConfig
from pyrovae.storage.jsonable import Json, JsonMapping

if TYPE_CHECKING:
    from pyrovae.data import Field
    from pyrovae.pairs.pair import Pair


Status = Literal["training", "trained", "done"]
"""How far a fit is: its steps, then its scores, are still to be done; or nothing is."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is fitted to what, and how.

    Attributes:
        model: name of the variant; None for a Pair, or a class or function, that was handed over in Python.
        options: the variant's own options, or those of such a function; None for such a Pair.
        guide: spec of the guide family, `iaf:steps=4`; None where the pair has a guide of its own.
        data: name or path of the data; None for tensors that were handed over.
        data_options: options of the data.
        training: options of training.
        frozen: where only the guide was trained: `run`, from which the model is, `weights`, the checksum of the
            model, and `shared`, the parameters of the guide that were frozen with it; see `pyrovae.training.freezing`.
    """

    model: str | None
    options: Config | None
    guide: registry.GuideSpec | None
    data: str | None
    data_options: DataConfig
    training: TrainConfig
    frozen: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        variant: registry.Variant | None,
        guide: str | None = None,
        data: str | None = None,
        settings: Settings | None = None,
    ) -> Recipe:
        """Sorts `settings` into the options of the variant, of the data and of training.

        Raises:
            UsageError: for an unknown setting, a value that does not fit, or a guide where the pair brings its own.
        """
        settings = dict(settings or {})
        own = variant.config if variant else Config
        who = f"model {variant.name}" if variant else "fit"
        known = [*own.model_fields, *TrainConfig.model_fields, *DataConfig.model_fields]
        refuse_unknown(settings, known, who)
        twice = [name for name in own.model_fields if known.count(name) > 1]
        if twice:
            raise UsageError(f"{who}: its option '{twice[0]}' is also one of training or data: rename the parameter")
        if guide is not None and (variant is None or variant.guide is None):
            raise UsageError(f"guide {guide}: {variant.name if variant else 'this pair'} brings a guide of its own")
        guide = variant.guide if guide is None and variant else guide
        spec = None if guide is None else registry.GuideSpec(guide)
        if spec is not None:
            _ = spec.family  # a wrong name or option is told before any data are read

        def mine(config: type[Config]) -> Options:
            return {key: value for key, value in settings.items() if key in config.model_fields}

        options = parse(own, mine(own), who) if variant else None
        if options is not None:
            registry.require_own_parts(options)
        recipe = cls(
            model=variant.name if variant and variant.by_name else None,
            options=options,
            guide=spec,
            data=data,
            data_options=parse(DataConfig, mine(DataConfig), "data"),
            training=parse(variant.training if variant else TrainConfig, mine(TrainConfig), "training"),
        )
        registry.bound(recipe.training.objective)  # as for the guide
        return recipe

    def named(self) -> Options:
        """The options of model and training, which may name a user's own code."""
        return {**dict(self.options or {}), "objective": self.training.objective}

    def build(self, variant: registry.Variant, fields: Mapping[str, Field]) -> Pair:
        """The pair, with fresh weights from torch's generator."""
        pair = variant.build(self.options, fields, None if self.guide is None else self.guide.family)
        pair.own = variant.own or registry.is_foreign(variant.name, self.guide, self.options or Config())
        return pair

    def to_json(self) -> Json:
        """As JSON."""
        return {
            "model": self.model,
            "options": self.options and self.options.model_dump(mode="json"),
            "guide": None if self.guide is None else str(self.guide),
            "data": self.data,
            "data_options": self.data_options.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "frozen": None if self.frozen is None else dict(self.frozen),
        }

    @classmethod
    def from_json(cls, values: JsonMapping, variant: registry.Variant | None) -> Recipe:
        """The inverse of `to_json`; `variant` is that of `values["model"]`."""
        for name in ("guide", "data"):
            if not isinstance(values[name], str | None):
                raise TypeError(f"{name} = {values[name]!r}")
        return cls(
            model=values["model"],
            options=parse(variant.config, values["options"] or {}, f"model {variant.name}") if variant else None,
            guide=None if values["guide"] is None else registry.GuideSpec(values["guide"]),
            data=values["data"],
            data_options=parse(DataConfig, values["data_options"], "data"),
            training=parse(TrainConfig, values["training"], "training"),
            frozen=values.get("frozen"),
        )


C = TypeVar("C", bound=Config)


def require_repeated(what: str, given: Settings, was: C, free: Collection[str] = ()) -> C:
    """The options `was`, with those of `given` that are `free` to change; the others may only be repeated.

    Raises:
        UsageError: for the first option that is given and is not as it was; `what` names where that was.
    """
    config = type(was)
    asked = parse(config, was.model_dump() | {key: given[key] for key in given if key in config.model_fields}, what)
    for key in config.model_fields:
        before, now = getattr(was, key), getattr(asked, key)
        if key in given and key not in free and now != before:
            raise UsageError(f"{option(key, now)} contradicts {what}, which has {before!r}: leave it out")
    return asked
