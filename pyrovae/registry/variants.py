"""From names to variants, guide families and data sets.

A name is a file of `models/` or `guides/`, an entry point (groups `pyrovae.models`, `pyrovae.guides`), or the user's
own: `my_model.py:MyVAE`, `package.module:MyVAE`. Listing names imports nothing.
"""

import ast
import copy
import functools
import hashlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from pyrovae.config import Config, from_signature, parse
from pyrovae.errors import UsageError, brief, did_you_mean
from pyrovae.options import TrainConfig
from pyrovae.registry.specs import by_site
from pyrovae.registry.specs import split_guides as split_guides
from pyrovae.runtime.turns import Whole

if TYPE_CHECKING:
    from torch import nn

    from pyrovae.data import Dataset, Field
    from pyrovae.pairs.pair import Pair

Kind = Literal["models", "guides"]


class Family(Protocol):
    """What a variant calls to get a guide: (context, features) -> a module h -> q(z | h).

    A pair with several latent sites says for which site it asks, so that each may have a family of its own.
    """

    def __call__(self, context: int, features: int, site: str | None = None) -> "nn.Module": ...


GIVEN_TO_MODEL = ("fields", "family")
GIVEN_TO_GUIDE = ("context", "features")
"""Parameters of a user's callable that pyrovae gives; the others are its options."""


@dataclass(frozen=True)
class Variant:
    """A way to build a pair.

    Attributes:
        name: as the user gave it.
        config: the options.
        build: (options, fields of the data, guide family) -> Pair; raises UsageError where the family is given for each
            site, and the pair asks for other sites.
        prepare: (options, data) -> the data as this pair reads them.
        guide: spec of the default guide; None where the variant brings its own and takes no family.
        training: options of training, with the variant's own defaults.
        data: the default data.
        own: whether it is the user's code rather than an installed name.
    """

    name: str
    config: type[Config]
    build: Callable[[Any, Mapping[str, "Field"], Family], "Pair"]
    prepare: Callable[[Any, "Dataset"], "Dataset"]
    guide: str | None
    data: str
    training: type[TrainConfig]
    own: bool


def describe(kind: Kind) -> dict[str, str]:
    """Names and one line on each, without importing them: the first line of each file's docstring."""
    found = {name: _first_line(origin) for name, origin in _files(kind).items()}
    for point in importlib.metadata.entry_points(group=f"pyrovae.{kind}"):
        found.setdefault(point.name, f"from {point.value}")
    return found


@functools.cache
def _first_line(file: Path) -> str:
    """Of the docstring of a module, without its full stop."""
    with Whole():  # two threads that parse at once fail in Python 3.11 (github.com/python/cpython/issues/106905)
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0].rstrip(".")


def variant(name: str) -> Variant:
    """Finds a variant by name; raises UsageError where there is none."""
    found = _find("models", name)
    own = ":" in name
    if isinstance(found, ModuleType):
        if not hasattr(found, "Config") or not hasattr(found, "build"):
            raise UsageError(f"{name} is a module without Config and build: name a class or function in it")
        return Variant(
            name=name,
            config=found.Config,
            build=_checked(found.build),
            prepare=getattr(found, "prepare", lambda config, data: data),
            guide=getattr(found, "GUIDE", "diagonal"),
            data=getattr(found, "DATA", "digits"),
            training=getattr(found, "Training", TrainConfig),
            own=own,
        )
    return _from_callable(name, found, own)


def _from_callable(name: str, make: Any, own: bool) -> Variant:
    """A class or function that gives a Pair: its parameters with defaults are its options; `fields` and `family` are
    given to it where it has parameters of these names."""
    from pyrovae.pairs.pair import Pair

    if isinstance(make, Pair):
        pair, make = make, lambda: copy.deepcopy(pair)  # each run has a pair of its own
    if not callable(make):
        raise UsageError(f"{name} is a {type(make).__name__}: it must be a Pair, or a class or function that gives one")
    takes = inspect.signature(make).parameters

    def build(config: Config, fields: Mapping[str, "Field"], family: Family) -> Pair:
        given = {key: value for key, value in {"fields": fields, "family": family}.items() if key in takes}
        made = make(**given, **{key: getattr(config, key) for key in type(config).model_fields})
        if not isinstance(made, Pair):
            raise UsageError(
                f"{name} gives a {type(made).__name__}, and must give a pyrovae.Pair(model, guide, inputs)"
            )
        return made

    config = from_signature(make, leave_out=GIVEN_TO_MODEL)
    guide = "diagonal" if "family" in takes else None
    return Variant(name, config, _checked(build), lambda config, data: data, guide, "digits", TrainConfig, own)


def family(spec: str) -> Family:
    """Finds a guide family by its spec: a name and options, `iaf:steps=4:hidden=64`, or one for each latent site,
    `z1=iaf:steps=4,z2=diagonal`."""
    families = by_site(spec)
    return _one(spec) if families is None else _BySite(spec, {site: _one(each) for site, each in families.items()})


def _one(spec: str) -> Family:
    name, options = split_spec(spec)
    config = parse(guide_config(name), options, f"guide {name}")
    make = functools.partial(_family_class(name), **dict(config))
    return lambda context, features, site=None: make(context, features)


class _BySite:
    """A family for each latent site, which remembers the sites that were asked for."""

    def __init__(self, spec: str, families: Mapping[str, Family]) -> None:
        self.spec = spec
        self.families = families
        self.asked: list[str] = []

    def __call__(self, context: int, features: int, site: str | None = None) -> "nn.Module":
        if site is None:
            raise UsageError(
                f"guide {self.spec} is for sites {', '.join(self.families)}, and the pair names no site: "
                f"give one family for all, or write family(context, features, site='z') in the pair"
            )
        self.asked.append(site)
        if site not in self.families:
            self._refuse(f"add {site}=FAMILY")
        return self.families[site](context, features)

    def require_all_used(self) -> None:
        """Raises UsageError for a site that was never asked for."""
        if unused := [site for site in self.families if site not in self.asked]:
            self._refuse(f"leave out {', '.join(unused)}")

    def _refuse(self, cure: str) -> NoReturn:
        asked = f"sites {', '.join(self.asked)}" if self.asked else "no site"
        raise UsageError(
            f"guide {self.spec} is for sites {', '.join(self.families)}, and the pair asks for {asked}: {cure}"
        )


def _checked(build: Callable[[Any, Mapping[str, "Field"], Family], "Pair"]) -> Any:
    """`build`, which then raises UsageError where a family is given for a site that the pair has not."""

    def checked(config: Any, fields: Mapping[str, "Field"], family: Family) -> "Pair":
        if not isinstance(family, _BySite):
            return build(config, fields, family)
        family.asked.clear()
        pair = build(config, fields, family)
        family.require_all_used()
        return pair

    return checked


def own_code(model: str | None, guide: str | None) -> list[str]:
    """Of a model and the spec of a guide those that are a user's own code; imports nothing.

    Raises:
        UsageError: where the spec is none.
    """
    specs = [] if guide is None else list((by_site(guide) or {"": guide}).values())
    names = [] if model is None else [model]
    return [name for name in dict.fromkeys([*names, *(split_spec(spec)[0] for spec in specs)]) if ":" in name]


def found_in(name: str) -> Path | None:
    """The file of `my_model.py:MyVAE` or `package.module:MyVAE`, found without running any of it; None where there is
    none."""
    where = name.rpartition(":")[0]
    if where.endswith(".py"):
        return Path(where) if Path(where).is_file() else None
    first, *rest = where.split(".")
    try:
        spec = importlib.machinery.PathFinder.find_spec(first)
        for i in range(len(rest)):
            if spec is None or spec.submodule_search_locations is None:
                return None
            places = list(spec.submodule_search_locations)
            spec = importlib.machinery.PathFinder.find_spec(".".join([first, *rest[: i + 1]]), places)
    except (ImportError, ValueError):
        return None
    return None if spec is None or spec.origin is None or not Path(spec.origin).is_file() else Path(spec.origin)


def code(model: str | None, guide: str | None) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of each file of the user's own code, by the name that model or guide gives it.

    Raises:
        UsageError: where the spec of the guide is none.
    """
    files = {name: found_in(name) for name in own_code(model, guide)}
    contents = {name: path.read_bytes() for name, path in files.items() if path is not None}
    return {name: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for name, d in contents.items()}


def guide_config(name: str) -> type[Config]:
    """The options of a guide family; raises UsageError where `name` is none."""
    make = _family_class(name)
    if not callable(make) or not {"context", "features"} <= set(inspect.signature(make).parameters):
        raise UsageError(f"{name} is no guide family: it must be a class or function of (context, features)")
    return from_signature(make, leave_out=GIVEN_TO_GUIDE)


def split_spec(spec: str) -> tuple[str, dict[str, str]]:
    """`"iaf:steps=4"` -> `("iaf", {"steps": "4"})`; a user's `file.py:Name` keeps its colon."""
    parts = spec.split(":")
    names, given = [part for part in parts if "=" not in part], [part for part in parts if "=" in part]
    if not names:
        raise UsageError(f"guide {spec} names no family: write {next(iter(describe('guides')))}:option=value")
    if names[0] in describe("guides") and len(names) > 1:
        raise UsageError(f"guide {spec}: '{names[1]}' is no OPTION=VALUE: write {names[0]}, or {names[0]}:option=value")
    options = dict(part.split("=", 1) for part in given)
    if len(options) < len(given):
        raise UsageError(f"guide {spec}: an option is given twice: give it once")
    return ":".join(names), options


def _family_class(name: str) -> Any:
    found = _find("guides", name)
    if not isinstance(found, ModuleType):
        return found
    stem = found.__name__.rpartition(".")[2]
    return next(value for key, value in vars(found).items() if key.lower() == stem and isinstance(value, type))


def _files(kind: Kind) -> dict[str, Path]:
    """The files of `pyrovae.models` or `pyrovae.guides`, by name."""
    spec = importlib.util.find_spec(f"pyrovae.{kind}")
    assert spec is not None and spec.submodule_search_locations is not None
    found = {}
    for folder in spec.submodule_search_locations:
        for module in pkgutil.iter_modules([folder]):
            found[module.name] = Path(folder) / f"{module.name}.py"
    return dict(sorted(found.items()))


def _find(kind: Kind, name: str) -> Any:
    if ":" in name:
        return _own(name)
    known = describe(kind)
    if name.endswith(".py") and Path(name).is_file():
        raise UsageError(f"{name} is a file: name the class or function in it, {name}:MyVAE")
    if name not in known:
        raise UsageError(f"there is no {kind[:-1]} '{brief(name)}'{did_you_mean(name, known)}")
    if name in _files(kind):
        return importlib.import_module(f"pyrovae.{kind}.{name}")
    (point,) = importlib.metadata.entry_points(group=f"pyrovae.{kind}", name=name)
    return point.load()


def _own(name: str) -> Any:
    """`my_model.py:MyVAE` or `package.module:MyVAE`."""
    where, _, attribute = name.rpartition(":")
    if not where or not attribute or where.startswith("."):
        raise UsageError(f"'{name}' is no name of your own code: write my_model.py:MyVAE or package.module:MyVAE")
    if where.endswith(".py"):
        module = _load_file(Path(where))
    else:
        try:
            module = importlib.import_module(where)
        except ImportError as error:
            raise UsageError(f"{name}: cannot import {where}: {error}") from None
    if not hasattr(module, attribute):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UsageError(f"{where} has no '{attribute}'{did_you_mean(attribute, public)}")
    return getattr(module, attribute)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}: name your own pair as path/to/file.py:Name")
    # The time of the last change is part of the name: an edited file is read again.
    key = f"pyrovae_user_{path.stem}_{abs(hash((path.resolve(), path.stat().st_mtime_ns))):x}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[key]
        if isinstance(error, Exception | SystemExit):
            raise UsageError(f"{path} does not run: {type(error).__name__}: {error}") from error
        raise
    return module
