"""Parameters of distributions that lie where a distribution cannot have them: a negative scale, a rate of zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pyro import poutine
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, TransformedDistribution, constraints

from pyrovae.pairs.supports import bare, off_simplex
from pyrovae.pairs.traces import sites

CURES = {
    "positive": "take softplus of what a network gives",
    "unit_interval": "take sigmoid of what a network gives, or logits",
    "simplex": "take softmax of what a network gives, or logits",
}
"""By torch's name of the constraint."""


def misplaced(trace: poutine.Trace) -> Iterator[str]:
    """A sentence for each site whose distribution has parameters outside of their constraints, where Pyro's checks are
    off. What is not a number is another matter, and nothing is said of it."""
    for name, site in sites(trace).items():
        for fn in parts(site["fn"]):
            for key, constraint in fn.arg_constraints.items():
                # Of two that say the same, probs and logits, one is computed when it is asked for.
                value = vars(fn).get(key)
                if not isinstance(value, Tensor) or constraints.is_dependent(constraint):
                    continue
                with suppress(NotImplementedError, RuntimeError, ValueError):
                    simplex = constraint is constraints.simplex
                    wrong = value[off_simplex(value) if simplex else ~constraint.check(value)]
                    if wrong.numel() and not wrong.isnan().any():
                        one = f"{wrong.flatten()[0].item():.4g}, and must be" if constraint.event_dim == 0 else "not"
                        cure = next((CURES[of] for of in CURES if getattr(constraints, of) is constraint), "mend it")
                        yield f"site '{name}': {key} of its {type(fn).__name__} is {one} {constraint}: {cure}"


def parts(fn: Distribution) -> Iterator[Distribution]:
    """A distribution without what Pyro has put around it, and those that it is made of."""
    fn = bare(fn)
    yield fn
    if isinstance(fn, TransformedDistribution):
        yield from parts(fn.base_dist)
    if isinstance(fn, MixtureSameFamily):
        yield from parts(fn.mixture_distribution)
        yield from parts(fn.component_distribution)
