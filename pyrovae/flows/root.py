"""The root of x + r tanh(q x + k) = c, which inverts one unit of a planar or Sylvester flow."""

import torch
from torch import Tensor

HALVINGS = 24
NEWTON = 2
"""Halvings bring x to 1e-7 of the bracket, from where each Newton step doubles the digits."""


def tanh_root(r: Tensor, q: Tensor, k: Tensor, c: Tensor) -> Tensor:
    """The x with x + r tanh(q x + k) = c, elementwise; r q > -1, so that the left side increases.

    A fixed number of operations, none of which looks at the values, and no gradient: the caller takes one Newton step
    with it, which gives the exact first derivatives by the implicit function theorem.
    """
    r, q, k, c = torch.broadcast_tensors(*(tensor.detach() for tensor in (r, q, k, c)))
    low, high = c - r.abs(), c + r.abs()  # |tanh| < 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = middle + r * torch.tanh(q * middle + k) < c
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    x = (low + high) / 2
    for _ in range(NEWTON):
        t = torch.tanh(q * x + k)
        x = x - (x + r * t - c) / (1 + r * q * (1 - t * t))
        x = torch.minimum(torch.maximum(x, low), high)
    return x
