"""How much of a computation goes at once."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CPU_BYTES = 32 * 2**20
"""Memory of one chunk on a CPU; larger ones gain nothing there."""

LIVE = 4
"""Tensors of the largest size that are alive at once, about."""

MOST_DATA = 128
"""Data of one chunk; more gain nothing."""


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU where it has none."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def precise(device: torch.device) -> torch.dtype:
    """What sums over data and samples are taken in: double precision, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def budget(device: torch.device) -> int:
    """Bytes that one chunk may take: a quarter of the free memory of a GPU, a fixed piece on a CPU."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else CPU_BYTES


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation inside gives."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        # A view of what came in takes no memory: the transpose of a weight is larger than what one datum needs.
        given = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in given:
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return out


def split(one_sample: Callable[[], Any], data: int, samples: int, device: torch.device) -> tuple[int, int]:
    """(data, samples) of a chunk, as many as fit the memory.

    Args:
        one_sample: computes one sample of one datum; its largest tensor is measured (the logits of a whole vocabulary
            are thousands of times the sentence that they score).
        data: how many there are.
        samples: how many there are for each.
        device: whose memory.
    """
    with Largest() as largest:
        one_sample()
    fit = max(1, budget(device) // (LIVE * largest.bytes))
    at_once = max(1, min(data, MOST_DATA, fit // samples))
    return at_once, max(1, min(samples, fit // at_once))
