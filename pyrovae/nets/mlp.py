"""Fully connected networks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "softplus": nn.Softplus, "elu": nn.ELU}


def linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer with Glorot-uniform weights and zero biases (Glorot & Bengio 2010)."""
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(sizes: Sequence[int], activation: str = "tanh") -> nn.Sequential:
    """Linear layers of the given sizes, (*, sizes[0]) -> (*, sizes[-1]), each followed by the activation."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [linear(n_in, n_out), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)
