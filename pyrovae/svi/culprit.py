"""Where numbers first go wrong: the field, the site or the parameter that is not finite, and the datum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from pyrovae.pairs.arguments import misplaced
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import sites, traces
from pyrovae.runtime.seeding import seeded
from pyrovae.svi.pieces import Rows
from pyrovae.svi.step import Step

DRAWS = 3
"""Draws of z with which the data are looked through, at most."""


def culprit(pair: Pair, pieces: Callable[[], Iterable[Rows]], step: Step) -> str:
    """Looks through the training data, with the present weights, for the first number that is not finite.

    Weights and buffers are looked at first, then fields, the log-probabilities of guide and model in their order, and
    the gradients.
    Leaves torch's generators and the weights as they were.

    Args:
        pair: as it is being trained.
        pieces: gives the stored rows in their order, in pieces.
        step: of the training.

    Returns:
        Words that stand behind a colon.
    """
    held = (*pair.named_parameters(), *pair.named_buffers())
    if bad := [name for name, tensor in held if tensor.isnan().any()]:  # an infinite one may be a mask
        return f"{bad[0]} of the pair holds NaN"
    device = step.optimizer.parameters[0].device
    with seeded(0, device):
        for _ in range(DRAWS):
            begin = 0
            for rows in pieces():
                batch = step.batch_of(rows)
                if found := of_batch(pair, batch, begin):
                    return found
                begin += len(batch[0])
        names = {id(parameter): name for name, parameter in pair.named_parameters()}
        one = torch.ones((), device=device)
        for rows in pieces():
            _, guarded = step.gradients(rows, one, one)
            for parameter, gradient in zip(step.optimizer.parameters, guarded.gradients, strict=True):
                if not gradient.isfinite().all():
                    return f"the gradient of {names.get(id(parameter), 'a parameter')}, while all sites were finite"
    return "with other noise all of it is finite"


def of_batch(pair: Pair, batch: Sequence[Tensor], begin: int = 0) -> str:
    """What of a batch is not finite, in words; empty where nothing is. `begin` is the number of its first datum."""
    for name, field in zip(pair.inputs, batch, strict=True):
        if (at := first_bad(field.flatten(1) if field.dim() > 1 else field)) is not None:
            return f"field '{name}' of training datum {begin + at} is not finite"
    with torch.no_grad(), unvalidated():
        p, q = traces(pair, batch)
    for of, trace in (("guide", q), ("model", p)):
        for name, site in sites(trace).items():
            value = site["log_prob"].detach()
            if value.dim() == 0 and not value.isfinite():
                return f"site '{name}' of the {of} has log-probability {value.item()}"
            if value.dim() and (at := first_bad(value)) is not None:
                worst = value.flatten()[at].item() if value.dim() == 1 else value.flatten(1)[at].sum().item()
                why = next((f" ({told})" for told in misplaced(trace) if told.startswith(f"site '{name}'")), "")
                return f"site '{name}' of the {of} has log-probability {worst} at training datum {begin + at}{why}"
    return ""


def first_bad(values: Tensor) -> int | None:
    """The first row that holds a number that is not finite; None where there is none."""
    good = values.isfinite()
    rows = good if good.dim() == 1 else good.flatten(1).all(-1)
    bad = (~rows).nonzero()
    return int(bad[0]) if len(bad) else None
