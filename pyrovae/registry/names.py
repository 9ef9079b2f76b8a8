"""Names are files: of a kind of thing, an entry point, or the user's own code. Listing them imports nothing."""

import ast
import functools
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pyrovae.errors import UsageError, brief, did_you_mean
from pyrovae.runtime.installed import installed
from pyrovae.runtime.turns import Whole

Kind = Literal["models", "guides", "objectives", "likelihoods", "priors"]

HELPED: tuple[Kind, ...] = ("objectives", "likelihoods", "priors")
"""Kinds whose folder also holds helpers: a file is listed where it has a class of its own name
(of objectives), or a class or function (of the others)."""

EXAMPLES = {
    "models": "MyVAE",
    "guides": "MyVAE",
    "objectives": "MyObjective",
    "likelihoods": "MyLikelihood",
    "priors": "MyPrior",
}


GIVEN: dict[Kind, tuple[str, ...]] = {
    "guides": ("context", "features"),
    "objectives": ("pair", "batch", "config"),
    "likelihoods": ("field", "at_mean"),
    "priors": ("features", "posterior", "of"),
}
"""Parameters that pyrovae gives, where it takes parameters of these names, of likelihoods and priors at least the
first; the others are options."""


def describe(kind: Kind) -> dict[str, str]:
    """Names and one line on each, without importing them: the first line of each file's docstring."""
    found = {name: first_line(origin) for name, origin in files(kind).items()}
    for name, point in installed(f"pyrovae.{kind}").items():
        found.setdefault(name, f"from {point.value}")
    return found


def known(kind: Kind) -> list[str]:
    """The names of `describe`, without a look into the files of models and guides."""
    ours = files(kind)
    return [*ours, *(name for name in installed(f"pyrovae.{kind}") if name not in ours)]


@functools.cache
def first_line(file: Path) -> str:
    """Of the docstring of a module, without its full stop."""
    return (ast.get_docstring(parsed(file)) or "").partition("\n")[0].rstrip(".")


def parsed(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    with Whole():  # two threads that parse at once fail in Python 3.11 (github.com/python/cpython/issues/106905)
        return ast.parse(file.read_text(encoding="utf-8"))


def is_own_name(name: str, stem: str) -> bool:
    """Whether a class or function is that of its file: `StudentT` and `student_t` are of `student_t.py`."""
    return name.replace("_", "").lower() == stem.replace("_", "").lower()


def files(kind: Kind) -> dict[str, Path]:
    """The files of `pyrovae.models`, `pyrovae.guides` and so on, by name."""
    spec = importlib.util.find_spec(f"pyrovae.{kind}")
    assert spec is not None and spec.submodule_search_locations is not None
    found: dict[str, Path] = {}
    for folder in spec.submodule_search_locations:
        found |= _listed(kind, folder, os.stat(folder).st_mtime_ns)
    return dict(sorted(found.items()))


@functools.lru_cache(maxsize=64)
def _listed(kind: Kind, folder: str, changed: int) -> dict[str, Path]:
    """The files of a folder that are things of a kind; remembered until one comes or goes: a pair that is built asks
    seven times."""
    found = {}
    for module in pkgutil.iter_modules([folder]):
        file = Path(folder) / f"{module.name}.py"
        if kind not in HELPED or (file.is_file() and has_its_name(file, kind != "objectives")):
            found[module.name] = file
    return found


@functools.cache
def has_its_name(file: Path, functions: bool) -> bool:
    """Whether a file defines a class of its own name, or one of `functions`; nothing is imported."""
    kinds = (ast.ClassDef, ast.FunctionDef) if functions else (ast.ClassDef,)
    return any(isinstance(each, kinds) and is_own_name(each.name, file.stem) for each in parsed(file).body)


def of_its_name(module: ModuleType) -> Any:
    """The class or function of a module that has the name of its file, in any case; of `def bernoulli` beside
    `class Bernoulli` the function. None where it has neither."""
    stem = module.__name__.rpartition(".")[2]
    named = [value for key, value in vars(module).items() if is_own_name(key, stem)]
    made_here = [value for value in named if getattr(value, "__module__", None) == module.__name__]
    return next(iter(sorted(made_here, key=inspect.isclass)), None)


def require_name(kind: Kind, name: str) -> None:
    """Raises UsageError for a name that there is not; of the user's own code where its file is not there."""
    if ":" in name:
        _where(name)
        return
    names = known(kind)
    if name.endswith(".py") and Path(name).is_file():
        raise UsageError(f"{name} is a file: name the class or function in it, {name}:{EXAMPLES[kind]}")
    if name not in names:
        raise UsageError(f"there is no {kind[:-1]} '{brief(name)}'{did_you_mean(name, names)}")


def find(kind: Kind, name: str) -> Any:
    """What a name stands for: a module, or what an entry point or the user's own name names."""
    if ":" in name:
        return own(name)
    require_name(kind, name)
    if name in files(kind):
        return importlib.import_module(f"pyrovae.{kind}.{name}")
    return installed(f"pyrovae.{kind}")[name].load()


def _where(name: str) -> tuple[str, str]:
    """The file or module of `my_model.py:MyVAE`, and what is named in it."""
    where, _, attribute = name.rpartition(":")
    if not where or not attribute or where.startswith("."):
        raise UsageError(f"'{name}' is no name of your own code: write my_model.py:MyVAE or package.module:MyVAE")
    if where.endswith(".py") and not Path(where).is_file():
        raise UsageError(f"there is no file {where}: name your own pair as path/to/file.py:Name")
    return where, attribute


def own(name: str) -> Any:
    """`my_model.py:MyVAE` or `package.module:MyVAE`."""
    where, attribute = _where(name)
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
