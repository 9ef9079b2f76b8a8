"""What is wrong with the names and options of a fit, as far as files tell it without an import of torch.

A wrong name would else be told after the seconds that torch takes to import. All of it is looked at again, with the
real classes, where a recipe is made: what is not known here is passed over.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import create_model

from pyrovae.config import Config, Named, Settings, parse, refuse_unknown
from pyrovae.data.options import DataConfig
from pyrovae.registry.excerpts import NeedsImportError, options_of_part
from pyrovae.registry.families import GuideSpec
from pyrovae.registry.names import Kind, require_name
from pyrovae.registry.specs import split_spec
from pyrovae.registry.variants import variant_options


def require_settings(model: str, guides: Sequence[str], settings: Settings) -> None:
    """Raises UsageError for the first name, option or value that no fit could take.

    Args:
        model: its name.
        guides: specs of guides.
        settings: options of the model, of the data and of training.
    """
    require_name("models", model)
    own, training = variant_options(model)
    known = [*own.model_fields, *training.model_fields, *DataConfig.model_fields]
    refuse_unknown(settings, known, f"model {model}")
    for spec in guides:
        for name, options in GuideSpec(spec).written.values():
            _require_part("guides", name, options)
    with suppress(NeedsImportError):
        _require_specs(parse(_plain(own), _of(own, settings), f"model {model}"))
    parse(DataConfig, _of(DataConfig, settings), "data")
    with suppress(NeedsImportError):
        _require_specs(parse(training, _of(training, settings), "training"))


def _of(config: type[Config], settings: Settings) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in config.model_fields}


def _plain(config: type[Config]) -> type[Config]:
    """The fields of a Config with their bounds, without validators of its own: an excerpt has no code of these."""
    fields: dict[str, Any] = {name: (info.annotation, info) for name, info in config.model_fields.items()}
    return create_model("Config", __base__=Config, **fields)


def _require_specs(config: Config) -> None:
    """Looks at what options name: a likelihood, a prior, an objective."""
    for name, info in type(config).model_fields.items():
        for mark in info.metadata:
            if isinstance(mark, Named):
                kind: Any = mark.kind
                _require_part(kind, *split_spec(getattr(config, name), kind))


def _require_part(kind: Kind, name: str, options: Mapping[str, str]) -> None:
    require_name(kind, name)
    with suppress(NeedsImportError):
        parse(options_of_part(kind, name), options, f"{kind[:-1]} {name}")
