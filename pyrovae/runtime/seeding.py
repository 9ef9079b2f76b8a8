"""torch's generators, kept and put back; random numbers that start from a seed and leave them as they were."""

from __future__ import annotations

from operator import index
from typing import SupportsIndex, final

import torch
from torch import Tensor

from pyrovae.errors import require_whole
from pyrovae.runtime.turns import Shared

MOST = 2**31
"""Seeds are below this."""


def require_seed(seed: object) -> None:
    """Raises UsageError where it is no whole number below `MOST`; None is no seed."""
    require_whole(0, MOST - 1, seed=seed)


@final
class seeded(Shared):  # noqa: N801  a context, named as one reads it
    """Inside, torch draws from `seed` on the CPU and on `device`; afterwards the generators stand where they stood.

    (`torch.manual_seed` would seed every device of the machine, and those are not put back.) Other threads that stand
    in such a context have other numbers: see `pyrovae.runtime.turns`.
    """

    def __init__(self, seed: SupportsIndex, device: torch.device | str = "cpu") -> None:
        self.seed = index(seed)  # torch takes no number of numpy's
        self.device = torch.device(device)
        self.inside: dict[str, Tensor] | None = None
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())

    def put(self) -> None:
        self.found = generators(self.device)
        if self.inside is not None:
            set_generators(self.inside, self.device)
            return
        torch.default_generator.manual_seed(self.seed)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(self.seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(self.seed)

    def back(self) -> None:
        self.inside = generators(self.device)
        set_generators(self.found, self.device)


def generators(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's generators, on the CPU and on the device."""
    found = {"cpu": torch.default_generator.get_state()}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        found["device"] = torch.mps.get_rng_state()
    return found


def set_generators(state: dict[str, Tensor], device: torch.device) -> None:
    """The inverse of `generators`; a state of another kind of device is left out."""
    torch.default_generator.set_state(state["cpu"])
    if "device" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["device"], device)
    elif "device" in state and device.type == "mps":
        torch.mps.set_rng_state(state["device"])
