"""Networks of the context h and a part of z that give the parameters of a map of another part of z.

Each is called with h and gives a function of z. That function holds the weights of the time of the call: within
`torch.func.functional_call` those that were given, while a flow runs its network after the call has ended. What depends
on h alone is computed once, however many particles z has and however many passes an inverse takes.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from pyro.nn import ConditionalAutoRegressiveNN
from torch import Tensor, nn
from torch.nn import functional

from pyrovae.nets.mlp import linear

OfZ = Callable[[Tensor], Tensor]
"""z (*L, kept) -> raw parameters (*L, outputs, features)."""


def near_zero(layer: nn.Linear) -> nn.Linear:
    """The layer with a tenth of its weights, so that a flow starts close to the identity."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
    return layer


class Masked(nn.Module):
    """A masked network (MADE, Germain et al. 2015): h (*L, context) -> a function of z (*L, features).

    Its column d depends on h and on the dimensions of z that stand before d in the ordering, which is
    0, 1, ..., features - 1, or that `backwards`.
    """

    def __init__(self, context: int, features: int, hidden: int, outputs: int, backwards: bool) -> None:
        super().__init__()
        # A list of ints beside the network's own buffer: a loop over a buffer syncs with the device at every turn.
        self.order = list(range(features))[:: -1 if backwards else 1]
        self.outputs = outputs
        with warnings.catch_warnings():
            # In one dimension the network is a function of h alone, which is what is wanted there.
            warnings.filterwarnings("ignore", message="ConditionalAutoRegressiveNN input_dim = 1")
            order: Any = torch.tensor(self.order, dtype=torch.long)
            self.net = ConditionalAutoRegressiveNN(
                features,
                context,
                [max(hidden, features)] * 2,  # narrower, and some outputs could not be reached
                param_dims=[outputs],
                permutation=order,
            )

    def forward(self, h: Tensor) -> OfZ:
        layers: Any = self.net.layers
        (first, bias), *rest = [(layer.weight * layer.mask, layer.bias) for layer in layers]
        context = h.shape[-1]
        of_h, of_z = functional.linear(h, first[:, :context], bias), first[:, context:]

        def raw(z: Tensor) -> Tensor:
            x = of_h + functional.linear(z, of_z)
            for weight, bias in rest:
                x = functional.linear(functional.elu(x), weight, bias)
            rows: Tensor = x.unflatten(-1, (self.outputs, -1))
            return rows

        return raw


class Constant(nn.Module):
    """What a linear layer is without inputs (torch's warns there): its bias."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, h: Tensor) -> Tensor:
        return self.bias


class Conditioner(nn.Module):
    """An ordinary network: h (*L, context) -> a function of z (*L, kept); `kept` may be 0, and so may `context`."""

    def __init__(self, context: int, kept: int, hidden: int, outputs: int, features: int) -> None:
        super().__init__()
        self.of_h = linear(context, hidden) if context else Constant(hidden)
        self.of_z = linear(kept, hidden) if kept else None
        self.second = linear(hidden, hidden)
        self.last = near_zero(linear(hidden, outputs * features))
        self.outputs = outputs

    def forward(self, h: Tensor) -> OfZ:
        of_h, of_z = self.of_h(h), None if self.of_z is None else (self.of_z.weight, self.of_z.bias)
        rest = [(layer.weight, layer.bias) for layer in (self.second, self.last)]

        def raw(z: Tensor) -> Tensor:
            x = of_h if of_z is None else of_h + functional.linear(z, *of_z)
            for weight, bias in rest:
                # tanh: a scale that grew with z without bound would make the flow overflow far out.
                x = functional.linear(torch.tanh(x), weight, bias)
            rows: Tensor = x.unflatten(-1, (self.outputs, -1))
            return rows

        return raw
