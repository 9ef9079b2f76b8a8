"""Numbers between bounds; help shows a range only where it tells something."""

from typing import Any

import click

SHOWN_BELOW = 10**6
"""Upper bounds from here on are there so that a slip is no week of work, and nobody plans by them."""


class _Ranged:
    """What a range of whole numbers and one of others have in common; placed before the class of click."""

    min: Any
    max: Any
    min_open: bool
    max_open: bool

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; a usage error that names both bounds for one beyond them."""
        try:
            return super().convert(value, param, ctx)  # type: ignore[misc]
        except click.BadParameter as error:
            number, beyond, _ = error.message.partition(" is not in the range ")
            if beyond:
                error.message = f"{number}{beyond}{super()._describe_range()}."  # type: ignore[misc]
            raise

    def _describe_range(self) -> str:
        """What click's help shows: nothing of 0 or 1 and above, and no bound of millions."""
        if self.max is not None and self.max < SHOWN_BELOW:
            return str(super()._describe_range())  # type: ignore[misc]
        if self.min is None or (not self.min_open and self.min in (0, 1)):
            return ""
        return f"x{'>' if self.min_open else '>='}{self.min:g}"


class Whole(_Ranged, click.IntRange):
    """A whole number between bounds."""

    name = "integer"


class Real(_Ranged, click.FloatRange):
    """A number between bounds."""

    name = "float"
