"""Damaged and hostile files, thousands of them: each loads, or is refused in one sentence that names it.

python -m tests.fuzzing --seconds 60 --seed 0
python -m tests.fuzzing --seconds 600 --target npz --keep found

A target (`data.py`, `settings.py`, `runs.py`) makes a case of random numbers, and `judge.py` says whether it goes as it
must: no exception but ours, no warning, no more memory or time than is allowed, nothing unpickled. What ever went wrong
stands in `tests/crashes/`, and `tests/fuzzing/test_fuzzing.py` tries it again.
"""

from .case import Case, Target
from .data import DATA
from .runs import RUN
from .settings import TOML

TARGETS: dict[str, Target] = {target.name: target for target in (*DATA, TOML, RUN)}

__all__ = ["TARGETS", "Case", "Target"]
