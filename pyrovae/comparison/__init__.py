"""One model, several guides: fits alike in all else, figures of each, and paired differences."""

from pyrovae.comparison.columns import COLUMNS, Column
from pyrovae.comparison.comparing import compare
from pyrovae.comparison.scored import Gaps, Scored
from pyrovae.comparison.table import Comparison

__all__ = ["COLUMNS", "Column", "Comparison", "Gaps", "Scored", "compare"]
