"""The user's own code behind a model, a guide, and what options name: which files, and their checksums."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pyrovae.config import Settings
from pyrovae.registry.families import GuideSpec
from pyrovae.runtime.installed import file_of
from pyrovae.storage.jsonable import Json

SPECS = ("likelihood", "prior", "objective")
"""Options of a model and of training that may name a user's own code."""


def name_of(spec: str) -> str | None:
    """`my_file.py:MyPrior` of `my_file.py:MyPrior:steps=2`; None for an installed name."""
    name = ":".join(part for part in spec.split(":") if "=" not in part)
    return name if ":" in name else None


def own_code(model: str | None, guide: str | None, options: Settings | None = None) -> list[str]:
    """Of a model, the spec of a guide and the options of the fit those that are a user's own code; imports nothing.

    Raises:
        UsageError: where the spec is none.
    """
    names = [] if model is None else [model]
    names += [] if guide is None else GuideSpec(guide).names
    given = options if isinstance(options, Mapping) else {}  # of a run.json that may be damaged
    names += [name_of(given[key]) or "" for key in SPECS if isinstance(given.get(key), str)]
    return [name for name in dict.fromkeys(names) if ":" in name]


def found_in(name: str) -> Path | None:
    """The file of `my_model.py:MyVAE` or `package.module:MyVAE`, found without running any of it; None where there is
    none."""
    where = name.rpartition(":")[0]
    if where.endswith(".py"):
        return Path(where) if Path(where).is_file() else None
    return file_of(where)


def code(model: str | None, guide: str | None, options: Settings | None = None) -> dict[str, Json]:
    """Size and SHA-256 of each file of the user's own code, by the name that model, guide or option gives it.

    Raises:
        UsageError: where a spec is none.
    """
    files = {name: found_in(name) for name in own_code(model, guide, options)}
    contents = {name: path.read_bytes() for name, path in files.items() if path is not None}
    return {name: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for name, d in contents.items()}
