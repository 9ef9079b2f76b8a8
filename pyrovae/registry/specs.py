"""How things are written: `iaf:steps=4`; a guide for each site, `z1=iaf:steps=4,z2=diagonal`."""

import re

from pyrovae.errors import UsageError
from pyrovae.registry.names import Kind, known

SITE = re.compile(r"\s*([^\s:=,]+)=(.*)", re.DOTALL)
"""`z1=iaf:steps=4`: a name and `=` before any colon, which an option of a family never has."""


def by_site(spec: str) -> dict[str, str] | None:
    """`"z1=iaf,z2=full"` -> `{"z1": "iaf", "z2": "full"}`; None for the spec of one family.

    Raises:
        UsageError: where one item names a site and another none, or a site is named twice.
    """
    items = spec.split(",")
    found = [SITE.fullmatch(item) for item in items]
    if not any(found):
        return None
    families: dict[str, str] = {}
    for item, match in zip(items, found, strict=True):
        if match is None:
            raise UsageError(
                f"guide {spec}: '{item.strip()}' names no site: write SITE={item.strip()}, as for the others"
            )
        site, family = match.groups()
        if site in families:
            raise UsageError(f"guide {spec}: site '{site}' is given twice: give it once")
        families[site] = family.strip()
    return families


def split_guides(text: str) -> list[str]:
    """The guides of a list: items are separated by commas, consecutive SITE=FAMILY items are one guide.

    A site that comes again starts the next guide: `"full,z1=iaf,z2=full,z1=full,z2=full"` is `full`, `z1=iaf,z2=full`
    and `z1=full,z2=full`.
    """
    guides: list[str] = []
    sites: set[str] = set()  # of the last guide; none where it is one family
    for item in (item.strip() for item in text.split(",")):
        match = SITE.fullmatch(item)
        if match and sites and match[1] not in sites:
            guides[-1] += f",{item}"
        else:
            guides.append(item)
            sites = set()
        if match:
            sites.add(match[1])
    return guides


def split_spec(spec: str, kind: Kind = "guides") -> tuple[str, dict[str, str]]:
    """`"iaf:steps=4"` -> `("iaf", {"steps": "4"})`; a user's `file.py:Name` keeps its colon.

    Raises:
        UsageError: where there is no name, or something else than options behind it, or an option twice.
    """
    what, there = kind[:-1], known(kind)
    parts = spec.split(":")
    names, given = [part for part in parts if "=" not in part], [part for part in parts if "=" in part]
    if not names:
        noun = "family" if kind == "guides" else what
        raise UsageError(f"{what} {spec} names no {noun}: write {there[0]}:option=value")
    if names[0] in there and len(names) > 1:
        raise UsageError(
            f"{what} {spec}: '{names[1]}' is no OPTION=VALUE: write {names[0]}, or {names[0]}:option=value"
        )
    options = dict(part.split("=", 1) for part in given)
    if len(options) < len(given):
        raise UsageError(f"{what} {spec}: an option is given twice: give it once")
    return ":".join(names), options
