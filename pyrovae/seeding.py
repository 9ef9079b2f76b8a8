"""Random numbers that start from a seed and leave the generators of the caller as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MOST = 2**31
"""Seeds are below this."""


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, torch draws from `seed` on the CPU and on `device`; afterwards the generators stand where they stood.

    (`torch.manual_seed` would seed every device of the machine, and those are not put back.)
    """
    device = torch.device(device)
    host = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    if device.type == "cpu":
        back = None
    elif device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        back = torch.cuda.get_rng_state(index)
        with torch.cuda.device(index):
            torch.cuda.manual_seed(seed)
    else:
        back = torch.mps.get_rng_state()
        torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(host)
        if device.type == "cuda" and back is not None:
            torch.cuda.set_rng_state(back, index)
        elif back is not None:
            torch.mps.set_rng_state(back)
