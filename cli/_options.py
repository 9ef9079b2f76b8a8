"""From typed Configs to command line options, and commands whose options depend on the model."""

import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from pyrovae.cli._arguments import Names
from pyrovae.cli._group import debug_option
from pyrovae.cli._ranges import Real, Whole
from pyrovae.config import Config, Named
from pyrovae.registry.names import Kind, known

__all__ = ["debug_option", "json_option", "options_of"]

GROUPS = "pyrovae.option_groups"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")

SIMPLE: dict[Any, click.ParamType] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    bool: click.BOOL,
    Path: click.Path(path_type=Path),
}


class Words(click.Choice):
    """One of the values of a Literal, which need not be strings."""

    def __init__(self, values: Sequence[object]) -> None:
        self.values = {str(value): value for value in values}
        super().__init__(list(self.values))

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """The value whose text is `value`."""
        return self.values[super().convert(str(value), param, ctx)]


class Commas(click.ParamType):
    """Values with commas between them: `200,200` is (200, 200), the empty text is ().

    Args:
        item: the type of each.
        length: how many there must be; None for any number.
    """

    def __init__(self, item: click.ParamType, length: int | None = None) -> None:
        self.item, self.length = item, length
        self.name = f"{item.name},..." if length is None else ",".join([item.name] * length)

    def convert(
        self, value: str | Sequence[object] | None, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[object, ...]:
        """The tuple; a part that does not fit is a usage error."""
        parts = value.split(",") if isinstance(value, str) and value.strip() else list(value or ())
        if self.length is not None and len(parts) != self.length:
            self.fail(f"{value!r} has {len(parts)} values, not {self.length} with commas between them", param, ctx)
        try:
            return tuple(self.item.convert(p.strip() if isinstance(p, str) else p, param, ctx) for p in parts)
        except click.BadParameter as error:
            self.fail(f"{value!r} is no list with commas, such as 200,200: {error.message}", param, ctx)


class Either(click.ParamType):
    """The first of several types that takes the text: `int | Literal["auto"]`."""

    def __init__(self, choices: Sequence[click.ParamType]) -> None:
        self.choices = choices
        self.name = "|".join("|".join(c.values) if isinstance(c, Words) else c.name for c in choices)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """The value as the first type that fits."""
        for choice in self.choices:
            with suppress(click.BadParameter):
                return choice.convert(value, param, ctx)
        return self.fail(f"{value!r} is none of {self.name}", param, ctx)


def options_of(
    config: type[Config], ranges: bool = False, types: Mapping[str, click.ParamType] | None = None
) -> list[click.Option]:
    """One option for each field of `config`: `latent_dim: int` becomes `--latent-dim INTEGER`.

    Not given is None, so that a TOML file can stand between the command line and the default; the help names the
    default. A field whose type has no text form (a nested Config, a dict) has no option.

    Names, types, defaults and help come from `config`; the bounds are checked by `pyrovae.config.parse`.

    Args:
        config: whose fields they are.
        ranges: whether click checks the bounds of numbers, too, and the help shows them.
        types: field -> the click type that reads it, where its annotation does not say enough.
    """
    given = types or {}
    options = (_option(field, info, ranges, given.get(field)) for field, info in config.model_fields.items())
    return [option for option in options if option is not None]


def _option(name: str, info: FieldInfo, ranges: bool, given: click.ParamType | None) -> click.Option | None:
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    named = next((mark for mark in info.metadata if isinstance(mark, Named)), None)
    names = ""
    param_type = given
    if named is not None:
        kind = cast(Kind, named.kind)
        names = f"[{', '.join(known(kind))}, or your own my_file.py:Name; name:option=value]"
        param_type = Names(kind)
    elif param_type is None:
        param_type = _param_type(_of_value(default) if info.annotation is Any else info.annotation)
    if param_type is None:
        return None
    if ranges and given is None:
        param_type = _within(param_type, info)
    dashed = name.replace("_", "-")
    flag = param_type is click.BOOL
    if flag and default is not None:
        default = dashed if default else f"no-{dashed}"
    elif isinstance(default, tuple | list):
        default = ",".join(map(str, default)) or "''"
    note = "" if default is None else f"[default: {default}]"
    return click.Option(
        [f"--{dashed}/--no-{dashed}" if flag else f"--{dashed}", name],
        type=param_type,
        default=None,
        metavar=None if named is None else "SPEC",
        help="  ".join(filter(None, (info.description, names, note))),
    )


def _param_type(annotation: object) -> click.ParamType | None:
    """The click type that reads `annotation` from text; None where there is none."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _param_type(args[0])
    if origin is Literal:
        return Words([value for value in args if value is not None])
    if origin is Union or origin is types.UnionType:
        members = [_param_type(member) for member in args if member is not type(None)]
        found = [member for member in members if member is not None]
        if len(found) < len(members):
            return None
        return found[0] if len(found) == 1 else Either(found)
    if origin in (tuple, list):
        item = _param_type(args[0])
        any_length = origin is list or args[-1] is Ellipsis
        if item is None or (not any_length and set(args) != {args[0]}):
            return None
        return Commas(item, None if any_length else len(args))
    return SIMPLE.get(annotation)


def _within(param_type: click.ParamType, info: FieldInfo) -> click.ParamType:
    """A number between the bounds of its field."""
    bounds: dict[str, Any] = {}
    for bound in info.metadata:
        for name, side in (("ge", "min"), ("gt", "min"), ("le", "max"), ("lt", "max")):
            if (value := getattr(bound, name, None)) is not None:
                bounds |= {side: value, f"{side}_open": name in ("gt", "lt")}
    if bounds and param_type is click.INT:
        return Whole(**bounds)
    if bounds and param_type is click.FLOAT:
        return Real(**bounds)
    return param_type


def _of_value(default: object) -> object:
    """The annotation that a default value suggests where a function's parameter has none."""
    if isinstance(default, tuple | list) and default:
        return types.GenericAlias(tuple, (type(default[0]), ...))
    return str if default is None else type(default)
