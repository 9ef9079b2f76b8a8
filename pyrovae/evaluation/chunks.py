"""How much of a computation goes at once."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyrovae.traces import numel_per_datum

CPU_BYTES = 64 * 2**20
"""On a CPU small pieces stay in the cache, and larger ones gain nothing."""


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU where it has none."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def budget(device: torch.device) -> int:
    """Bytes that one chunk may take: a quarter of the free memory of a GPU, a fixed piece on a CPU."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else CPU_BYTES


def split(batch: Sequence[Tensor], samples: int, device: torch.device) -> tuple[int, int]:
    """(data, samples) of a chunk: as many as fit when each sample of each datum takes about four times its numbers."""
    per_sample = 16 * max(numel_per_datum(batch), 256)
    fit = max(1, budget(device) // per_sample)
    data = min(len(batch[0]), 128, fit)
    return data, min(samples, max(1, fit // data))
