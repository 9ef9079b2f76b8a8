"""Errors a user can mend: one sentence that names the thing, both values and the cure."""

import difflib
from collections.abc import Iterable


class PyrovaeError(Exception):
    """Something in the input, the data or the machine stands in the way; the command line exits with 1."""

    exit_code = 1


class UsageError(PyrovaeError, ValueError):
    """A name, an option or a value that does not exist or does not fit; the command line exits with 2."""

    exit_code = 2


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`": did you mean 'x'?"` where one of `known` is close to `name`, else the list of what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f": did you mean '{close[0]}'?" if close else f" (there is: {', '.join(known) or 'nothing'})"
