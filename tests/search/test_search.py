"""Random pairs of which log p(x) is known, a few here and more by `python -m tests.search`; and what was wrong once."""

import pytest

from search import KINDS, search, tried

SLOW = ("flows", "positive")


def test_no_trusted_case_is_wrong_and_sound_ones_are_trusted():
    """One of each kind, but for the slow ones, of which some stand below."""
    kinds = [kind for name, kind in KINDS.items() if name not in SLOW]
    summary = search(kinds, range(len(kinds)))
    assert not summary.wrong, summary.wrong
    assert not summary.unsure, summary.unsure
    assert summary.counts["sound"] >= 2
    assert summary.counts["trusted"] >= 9


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("conjugate", 43),  # more than half of what a Beta guide draws stands at its border
        ("correlated", 12),  # one of thirty data is missed by 255 nats
        ("correlated", 10001),  # by 11 nats, with 100 samples
        ("correlated", 10097),
        ("flows", 11059),  # three narrow guides of three, each with dozens of effective samples
    ],
)
def test_what_was_trusted_and_wrong_is_not_any_more(kind, seed):
    found = tried(KINDS[kind], seed)
    assert not found.beyond, found


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("classes", 3),  # one-hot draws are equal numbers
        ("bits", 11),  # bits, too
        ("scalars", 26),  # a guide by the bijection of torch to an interval
        ("scalars", 6),  # to positive numbers
    ],
)
def test_what_was_sound_and_not_trusted_is_now(kind, seed):
    found = tried(KINDS[kind], seed)
    assert found.sound
    assert found.trusted, found
