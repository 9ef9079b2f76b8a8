"""What is printed into docs/ from the code: page -> what makes it of the page as it is."""

from collections.abc import Callable

PRINTED: dict[str, Callable[[str], str]] = {}
