"""Guides whose flow has no inverse: they score what they draw, and nothing else."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from pyrovae.errors import PyrovaeError

NO_INVERSE = (
    "the guide cannot score values that it did not draw, as a transform of its distribution has no inverse: give it "
    "one, or take a family of `pyrovae guides`; without it nothing can be tried of the pair"
)


def lacks_inverse(error: BaseException) -> bool:
    """Whether an error comes from a transform of torch or Pyro that was to be inverted and cannot be."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, KeyError | NotImplementedError) and any(frame.name == "_inverse" for frame in frames)


@contextmanager
def inverted() -> Iterator[None]:
    """Raises PyrovaeError where a value is scored that a guide did not draw, and it cannot."""
    try:
        yield
    except (KeyError, NotImplementedError) as error:
        if lacks_inverse(error):
            raise PyrovaeError(NO_INVERSE) from error
        raise
