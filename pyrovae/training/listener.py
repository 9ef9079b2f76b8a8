"""What is told of a fit while it trains: `on_epoch`, a function of the metrics of an epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch

from pyrovae.errors import UsageError
from pyrovae.runs.texts import Metrics
from pyrovae.runtime.seeding import seeded

OnEpoch = Callable[[Metrics], object]
"""What a tracker needs to be: it is called with the metrics of each epoch by name, floats; what it gives is left."""


class Listener:
    """Tells a function of the caller of each epoch, so that nothing of the fit follows from it.

    It gets a copy of the metrics, draws from a generator of its own, and Ctrl-C waits until it is done (a second one
    does not). An error in it ends the fit, after a checkpoint, and stays of the type that it is: whoever prunes trials
    by raising one finds it again. A note says where it came from and what is kept.

    Args:
        call: the function.
        device: that of the fit.
        kept: how the fit goes on from its checkpoint; None where nothing is written.

    Raises:
        UsageError: where it cannot be called with one argument.
    """

    def __init__(self, call: OnEpoch, device: torch.device, kept: str | None) -> None:
        require_callable(call)
        self.call, self.device, self.kept = call, device, kept

    def __call__(self, metrics: Metrics, save: Callable[[], None]) -> None:
        try:
            with seeded(int(metrics["epoch"]), self.device):
                self.call(dict(metrics))
        except (Exception, SystemExit) as error:
            save()
            kept = f"{self.kept} goes on after it" if self.kept else "nothing of the fit is kept, as it has no `out`"
            error.add_note(f"raised by on_epoch, {_name(self.call)}, after epoch {metrics['epoch']}: {kept}")
            raise


def unheard(metrics: Metrics, save: Callable[[], None]) -> None:
    """The listener of a fit that tells nobody."""


def require_callable(call: object) -> None:
    """Raises UsageError for what cannot be called with the metrics of an epoch, before anything is trained."""
    name = _name(call)
    if not callable(call):
        raise UsageError(f"on_epoch is of type {name}: give a function of one argument, the metrics of an epoch")
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # of a builtin, which says nothing of its arguments
        return
    try:
        signature.bind({})
    except TypeError as error:
        raise UsageError(
            f"on_epoch, {name}: {error}: give a function of one argument, the metrics of an epoch"
        ) from None


def _name(call: object) -> str:
    name: str = getattr(call, "__qualname__", type(call).__name__)
    return name
