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


class NoInverseError(PyrovaeError):
    """A guide is to score what it did not draw, and cannot."""


@contextmanager
def inverted() -> Iterator[None]:
    """Raises NoInverseError for what torch and Pyro raise where a transform is to be inverted and cannot be."""
    try:
        yield
    except (KeyError, NotImplementedError) as error:
        if any(frame.name == "_inverse" for frame in traceback.extract_tb(error.__traceback__)):
            raise NoInverseError(NO_INVERSE) from error
        raise
