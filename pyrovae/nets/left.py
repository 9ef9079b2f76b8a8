"""Left dims (particles, data) for operations that cannot take them as they come."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def cat(*tensors: Tensor) -> Tensor:
    """Concatenates on the last dim, after broadcasting all the others: (K, B, m) with (B, n) is (K, B, m + n)."""
    lead = torch.broadcast_shapes(*(tensor.shape[:-1] for tensor in tensors))
    return torch.cat([tensor.expand(*lead, tensor.shape[-1]) for tensor in tensors], -1)


def fold(net: Callable[..., Tensor], *arguments: tuple[Tensor, int]) -> Tensor:
    """Calls a network that takes exactly one left dim (convolution, GRU, normalisation) on any number of them.

    Several of these are wrong without an error on (K, B, ...): a GRU reads it as (batch, time).

    Args:
        net: called with tensors of shape (N, *event); gives (N, *out).
        arguments: each a tensor and the number of its event dims; their left dims are broadcast.

    Returns:
        (*left, *out).
    """
    lead = torch.broadcast_shapes(*(tensor.shape[: tensor.dim() - n] for tensor, n in arguments))
    flat = []
    for tensor, n in arguments:
        event = tensor.shape[tensor.dim() - n :]
        flat.append(tensor.expand(*lead, *event).reshape(math.prod(lead), *event))
    out = net(*flat)
    return out.reshape(*lead, *out.shape[1:])
