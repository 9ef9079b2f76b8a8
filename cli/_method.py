"""Estimators are files: what `pyrovae loglik --method NAME` runs, its options, and the rows that it prints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypedDict

import click

from pyrovae.cli._files import about, about_point, modules_in
from pyrovae.cli._options import options_of
from pyrovae.config import Config
from pyrovae.runtime.installed import installed

if TYPE_CHECKING:
    from pyrovae.runs.run import Run
    from pyrovae.runtime.progress import Progress

PACKAGE = "pyrovae.cli._methods"

GROUP = "pyrovae.estimators"
"""The entry point group by which installed packages add estimators."""

DEFAULT = "is"


class Common(TypedDict):
    """What every estimator takes: keywords of the verbs of a run."""

    split: Any  # one of its three splits, as click has checked
    limit: int | None
    seed: int
    show: "Progress"
    compile: bool | None


@dataclass(frozen=True)
class Method:
    """An estimator of log p(x). To add one, add a file `cli/_methods/name.py`, or an entry point of the group
    `pyrovae.estimators` that names such a module. It imports no torch and holds:

    Attributes:
        name: of the file.
        config: `Options`, the Config of what may be set of this estimator alone.
        estimate: `estimate(run, options, common)` -> what has `summary() -> dict`.
        rows: `rows(summary)` -> the table that is printed: name and text of each line.
        arrays: `ARRAYS`, attributes of the estimate with a value for each datum, which `--out` writes.
        require: `require(options)`, if there is one, raises UsageError for options that do not go together.
        types: `TYPES`, if there is one: option -> the click type that reads it.
        processes: `PROCESSES`, False if there is none: whether several processes may share the work.
    """

    name: str
    config: type[Config]
    estimate: Callable[["Run", Any, Common], Any]
    rows: Callable[[Mapping[str, Any]], list[tuple[str, str]]]
    arrays: tuple[str, ...]
    require: Callable[[Any], None]
    types: Mapping[str, click.ParamType]
    processes: bool

    def options(self) -> list[click.Option]:
        """Those of the command line."""
        return options_of(self.config, ranges=True, types=self.types)


def describe() -> dict[str, str]:
    """What there is, the default first: name and the first line of the file."""
    ours = modules_in(import_module(PACKAGE).__path__)
    lines = {name: about_point(point).line for name, point in installed(GROUP).items()}
    lines |= {name: about(file).line for name, file in ours.items()}
    return {name: lines[name] for name in sorted(lines, key=lambda name: (name != DEFAULT, name not in ours, name))}


def names() -> list[str]:
    """The names of `describe`."""
    return list(describe())


def find(name: str) -> Method:
    """The estimator `name`, one of `names()`."""
    if name in modules_in(import_module(PACKAGE).__path__):
        module: ModuleType = import_module(f"{PACKAGE}.{name}")
    else:
        module = installed(GROUP)[name].load()
    return Method(
        name=name,
        config=module.Options,
        estimate=module.estimate,
        rows=module.rows,
        arrays=module.ARRAYS,
        require=getattr(module, "require", lambda options: None),
        types=getattr(module, "TYPES", {}),
        processes=getattr(module, "PROCESSES", False),
    )


def owners(option: str) -> list[str]:
    """The estimators that have an option (`max_samples`)."""
    return [name for name in names() if option in find(name).config.model_fields]
