"""From the spec of a guide to the family that a variant builds its guide with."""

import functools
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pyrovae.config import Config, from_signature, parse
from pyrovae.errors import UsageError
from pyrovae.registry.names import find, of_its_name
from pyrovae.registry.specs import by_site, split_spec

if TYPE_CHECKING:
    from torch import nn


class Family(Protocol):
    """What a variant calls to get a guide: (context, features) -> a module h -> q(z | h).

    A pair with several latent sites says for which site it asks, so that each may have a family of its own.
    """

    def __call__(self, context: int, features: int, site: str | None = None) -> "nn.Module": ...


GIVEN_TO_GUIDE = ("context", "features")
"""Parameters of a user's callable that pyrovae gives; the others are its options."""


def family(spec: str) -> Family:
    """Finds a guide family by its spec: a name and options, `iaf:steps=4:hidden=64`, or one for each latent site,
    `z1=iaf:steps=4,z2=diagonal`."""
    families = by_site(spec)
    return _one(spec) if families is None else BySite(spec, {site: _one(each) for site, each in families.items()})


def _one(spec: str) -> Family:
    name, options = split_spec(spec)
    config = parse(guide_config(name), options, f"guide {name}")
    make = functools.partial(_family_class(name), **dict(config))
    return lambda context, features, site=None: make(context, features)


class BySite:
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


def guide_config(name: str) -> type[Config]:
    """The options of a guide family; raises UsageError where `name` is none."""
    make = _family_class(name)
    if not callable(make) or not {"context", "features"} <= set(inspect.signature(make).parameters):
        raise UsageError(f"{name} is no guide family: it must be a class or function of (context, features)")
    return from_signature(make, leave_out=GIVEN_TO_GUIDE)


def _family_class(name: str) -> Any:
    found = find("guides", name)
    return of_its_name(found) if isinstance(found, ModuleType) else found
