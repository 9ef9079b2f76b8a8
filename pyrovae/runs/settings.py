"""config.toml: what was set for a fit, as a config file of `pyrovae fit`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pyrovae.config import Config
from pyrovae.runs.recipe import Recipe


def to_toml(recipe: Recipe) -> str | None:
    """All that was set by name, and as comments what was not; None where names do not make the same fit again: of a
    pair or of data that were handed over in Python, and of a path that is no UTF-8.

    A fit by it makes the same weights, on the same machine and threads, from the same data.
    """
    if recipe.model is None or recipe.data is None:
        return None
    named: dict[str, object] = {"model": recipe.model, "data": recipe.data}
    if recipe.guide is not None:
        named["guide"] = str(recipe.guide)
    if recipe.frozen is not None:
        if recipe.frozen["run"] is None:
            return None
        named["freeze_model"] = recipe.frozen["run"]
    lines = [*_lines(named)]
    for title, options in (("model", recipe.options), ("training", recipe.training), ("data", recipe.data_options)):
        if options is not None:
            lines += ["", f"# options of {title}; those behind # are defaults", *_of(options)]
    text = "\n".join(lines) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def _of(options: Config) -> Iterator[str]:
    values = options.model_dump(mode="json")
    for name, value in values.items():
        if value is None:
            yield f"# {name} is not set"
        else:
            yield ("" if name in options.model_fields_set else "# ") + next(_lines({name: value}))


def _lines(values: Mapping[str, object]) -> Iterator[str]:
    # Numbers, true, false, texts and lists of them are written in TOML as in JSON, DEL aside.
    for name, value in values.items():
        yield f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
