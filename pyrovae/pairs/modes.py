"""Contexts in which a pair runs: without Pyro's checks of values, in evaluation mode; and how it is scored."""

import contextlib
from collections.abc import Iterator
from typing import final

import pyro
import torch
from torch import nn

from pyrovae.pairs.alone import alone
from pyrovae.pairs.inverses import inverted
from pyrovae.pairs.parameters import device_of
from pyrovae.runtime.seeding import require_seed, seeded
from pyrovae.runtime.turns import Shared


@contextlib.contextmanager
def scoring(pair: nn.Module, seed: int | None = None) -> Iterator[None]:
    """How numbers of a pair are computed: without gradients and Pyro's checks of values, in eval mode, and without what
    the caller has put around; modes and generators are afterwards as they were.

    Args:
        pair: whose modules, and whose device.
        seed: of the noise; None goes on with the noise of torch's generators.
    """
    require_seed(seed)
    noise = contextlib.nullcontext() if seed is None else seeded(seed, device_of(pair))
    with inverted(), alone(pair), torch.no_grad(), unvalidated(), evaluating(pair), noise:
        yield


@final
class unvalidated(Shared):  # noqa: N801  a context, named as one reads it
    """Pyro's validation off: it looks at values, which costs a host sync a site."""

    def put(self) -> None:
        self.context = pyro.validation_enabled(False)
        self.context.__enter__()

    def back(self) -> None:
        self.context.__exit__(None, None, None)


@final
class evaluating(Shared):  # noqa: N801  a context, named as one reads it
    """The modules in eval mode inside, each submodule back in its own mode afterwards."""

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = modules

    def put(self) -> None:
        self.modes = [(part, part.training) for module in self.modules for part in module.modules()]
        for module in self.modules:
            module.eval()

    def back(self) -> None:
        for part, mode in self.modes:
            part.training = mode
