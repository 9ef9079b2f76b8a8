"""Random pairs whose log p(x) is known: none that is called trusted may be wrong, most of the sound ones must be.

python -m tests.search --count 3000 --seed 0
python -m tests.search --count 300 --kinds flows,chain --method elbo

A kind (`KINDS`, one function each) makes a pair of random numbers, and log p(x) beside it in double precision by a
closed form, a sum over states or quadrature; `judge.py` scores it and says how far the mean is off. What was wrong once
stands in `test_search.py` with its kind and seed.
"""

from collections.abc import Callable

from .blind import blind
from .case import Case
from .conjugate import conjugate
from .discrete import bits, classes, counts, labelled
from .gaussian import chain, correlated, flows
from .judge import Found, Summary, search, tried
from .mixtures import mixture_likelihood, mixture_prior
from .plates import plates
from .scalars import scalars
from .vectors import angles, positive, simplex

KINDS: dict[str, Callable[[int], Case]] = {
    kind.__name__: kind
    for kind in (
        conjugate,
        correlated,
        scalars,
        flows,
        chain,
        mixture_prior,
        mixture_likelihood,
        classes,
        bits,
        counts,
        labelled,
        simplex,
        angles,
        positive,
        plates,
        blind,
    )
}

__all__ = ["KINDS", "Case", "Found", "Summary", "search", "tried"]
