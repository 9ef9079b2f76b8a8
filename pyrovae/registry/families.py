"""From the spec of a guide to the family that a variant builds its guide with."""

import functools
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from pyrovae.config import Config, from_signature, parse
from pyrovae.errors import UsageError
from pyrovae.registry.names import GIVEN, find, of_its_name
from pyrovae.registry.specs import by_site, split_spec

if TYPE_CHECKING:
    from torch import nn


class Family(Protocol):
    """What a variant calls to get a guide: (context, features) -> a module h -> q(z | h).

    A pair with several latent sites says for which site it asks, so that each may have a family of its own.
    """

    def __call__(self, context: int, features: int, site: str | None = None) -> "nn.Module": ...


class GuideSpec(str):
    """A guide as it is written: a name and options, `iaf:steps=4:hidden=64`, or one for each latent site,
    `z1=iaf:steps=4,z2=diagonal`. It is the text, so that it is compared, printed and saved as such, and knows what it
    says; what it names is looked up when that is first asked for.

    Args:
        text: of one guide.

    Attributes:
        written: site -> name and options; the site of one family for all is None.

    Raises:
        UsageError: where the text names no family, or a site or an option twice.
    """

    written: dict[str | None, tuple[str, dict[str, str]]]

    def __new__(cls, text: str) -> "GuideSpec":
        """The text, taken apart."""
        if isinstance(text, cls):
            return text
        self = super().__new__(cls, text)
        families = by_site(text)
        self.written = {None: split_spec(text)} if families is None else {s: split_spec(f) for s, f in families.items()}
        return self

    @property
    def names(self) -> list[str]:
        """Of the families, in the order of the text."""
        return [name for name, _ in self.written.values()]

    @functools.cached_property
    def family(self) -> Family:
        """What a variant builds its guide with; raises UsageError for a name or an option that there is not."""
        made = {site: _one(*written) for site, written in self.written.items()}
        return made[None] if None in made else BySite(self, made)


def family(spec: str) -> Family:
    """The guide family of a spec; see `GuideSpec`."""
    return GuideSpec(spec).family


def _one(name: str, options: Mapping[str, str]) -> Family:
    config = parse(guide_config(name), options, f"guide {name}")
    make = functools.partial(_family_class(name), **dict(config))
    return lambda context, features, site=None: make(context, features)


class BySite:
    """A family for each latent site, and the sites for which one pair has asked.

    Args:
        spec: as it is written.
        families: site -> family.
    """

    def __init__(self, spec: str, families: Mapping[str | None, Family]) -> None:
        self.spec = spec
        self.families = families
        self.asked: list[str] = []

    def __call__(self, context: int, features: int, site: str | None = None) -> "nn.Module":
        if site is None:
            raise UsageError(
                f"guide {self.spec} is for sites {self._sites}, and the pair names no site: "
                f"give one family for all, or write family(context, features, site='z') in the pair"
            )
        self.asked.append(site)
        if site not in self.families:
            self._refuse(f"add {site}=FAMILY")
        return self.families[site](context, features)

    def for_one_pair(self) -> "BySite":
        """The same, before any site was asked for."""
        return BySite(self.spec, self.families)

    def require_all_used(self) -> None:
        """Raises UsageError for a site that was never asked for."""
        if unused := [str(site) for site in self.families if site not in self.asked]:
            self._refuse(f"leave out {', '.join(unused)}")

    @property
    def _sites(self) -> str:
        return ", ".join(map(str, self.families))

    def _refuse(self, cure: str) -> NoReturn:
        asked = f"sites {', '.join(self.asked)}" if self.asked else "no site"
        raise UsageError(f"guide {self.spec} is for sites {self._sites}, and the pair asks for {asked}: {cure}")


def guide_config(name: str) -> type[Config]:
    """The options of a guide family; raises UsageError where `name` is none."""
    make = _family_class(name)
    if not callable(make) or not {"context", "features"} <= set(inspect.signature(make).parameters):
        raise UsageError(f"{name} is no guide family: it must be a class or function of (context, features)")
    return from_signature(make, leave_out=GIVEN["guides"])


def _family_class(name: str) -> Any:
    found = find("guides", name)
    return of_its_name(found) if isinstance(found, ModuleType) else found
