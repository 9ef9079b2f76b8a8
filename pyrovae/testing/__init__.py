"""The laws that every pair obeys: for our tests, for those of a plugin, and for `pyrovae check`.

    from pyrovae.testing import check
    broken = [law for law in check(make_my_pair, batch) if law.passed is False]
    assert not broken, broken

`pyrovae check FILE.py:NAME` prints them.
"""

from pyrovae.testing.checking import check
from pyrovae.testing.law import Law
from pyrovae.testing.table import Row, sites_table

__all__ = ["Law", "Row", "check", "sites_table"]
