"""Networks that read and write a field of the data, so that no variant spells a shape."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field as Option
from torch import Tensor, nn
from torch.nn.functional import one_hot

from pyrovae.config import Config
from pyrovae.data.field import Field
from pyrovae.errors import UsageError, option
from pyrovae.nets.conv import ConvDecoder, ConvEncoder
from pyrovae.nets.mlp import linear, mlp
from pyrovae.nets.units import standard

Width = Annotated[int, Option(ge=1)]


class NetConfig(Config):
    """Options of a variant whose networks are fully connected or convolutional."""

    net: Literal["mlp", "conv"] = Option("mlp", description="fully connected or convolutional networks")
    hidden: tuple[Width, ...] = Option((200, 200), min_length=1, description="widths of the fully connected layers")
    channels: tuple[Width, ...] = Option((32, 64), min_length=1, description="channels of the layers of --net conv")
    activation: Literal["tanh", "relu", "softplus", "elu", "gated"] = Option(
        "tanh", description="between the layers; gated: layers (W x + b) * sigmoid(V x + c)"
    )


def encoder(field: Field, config: NetConfig) -> ConvEncoder | FlatEncoder:
    """(*L, *field.shape) -> (*L, features); `.features` says how many."""
    if config.net == "conv":
        return ConvEncoder(_image(field), config.channels, config.hidden[-1], config.activation)
    return FlatEncoder(field, config.hidden, config.activation)


def decoder(features: int, field: Field, outputs: int, config: NetConfig, bias: Tensor | None = None) -> nn.Module:
    """(*L, features) -> (*L, outputs * shape[0], *shape[1:]): `outputs` numbers for each number of the field.

    Args:
        features: numbers that come in.
        field: what is written.
        outputs: how many numbers the likelihood asks for (1: a logit; 2: mean and scale).
        config: kind and sizes of the network.
        bias: where the output starts, in the output's shape; None is 0.
    """
    if config.net == "conv":
        c, h, w = _image(field)
        net = ConvDecoder(features, config.channels[::-1], (outputs * c, h, w), config.activation)
        start_at(net.net[-1], bias)
        return net
    widths = [features, *config.hidden[::-1]]
    last = linear(widths[-1], outputs * field.numel)
    start_at(last, bias)
    shape = (outputs * field.shape[0], *field.shape[1:])
    return nn.Sequential(mlp(widths, config.activation), last, nn.Unflatten(-1, shape))


def embed(field: Field, dim: int | None = None) -> Label | Flat:
    """A condition as a vector, (*L, *field.shape) -> (*L, features): a learned embedding or one-hot for a label
    (`dim` None: one-hot), everything else flat; `.features` says how many."""
    return Label(field, dim) if field.kind == "category" else Flat(field)


class Flat(nn.Module):
    """(*L, *shape) -> (*L, features), in units of their own where the field is standardised."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.features = field.numel
        self.dims = len(field.shape)
        self.standard = standard(field)

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.standard is None else self.standard(x)
        return x.flatten(-self.dims) if self.dims else x.unsqueeze(-1)


class Label(nn.Module):
    """(*L,) -> (*L, features); a missing label (-1) is the zero vector."""

    def __init__(self, field: Field, dim: int | None) -> None:
        super().__init__()
        assert field.size is not None
        self.size = field.size
        self.features = dim or field.size
        self.table = None if dim is None else nn.Parameter(torch.randn(field.size, dim) * dim**-0.5)

    def forward(self, y: Tensor) -> Tensor:
        dtype = torch.get_default_dtype() if self.table is None else self.table.dtype
        # A class of its own for -1, cut off again: no branch on the values.
        code = one_hot(y + 1, self.size + 1)[..., 1:].to(dtype)
        return code if self.table is None else code @ self.table


class FlatEncoder(nn.Module):
    """(*L, *shape) -> (*L, hidden[-1]), fully connected."""

    def __init__(self, field: Field, hidden: tuple[int, ...], activation: str) -> None:
        super().__init__()
        self.features = hidden[-1]
        self.net = nn.Sequential(Flat(field), mlp([field.numel, *hidden], activation))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


def start_at(last: nn.Module, bias: Tensor | None) -> None:
    """Sets the bias of a decoder's last layer: of each output of a linear layer, of each channel of a convolution."""
    if bias is not None:
        assert isinstance(last.bias, Tensor)
        with torch.no_grad():
            last.bias.copy_(bias.flatten() if isinstance(last, nn.Linear) else bias.mean((-2, -1)))


def _image(field: Field) -> tuple[int, int, int]:
    if not field.is_image:
        raise UsageError(
            f"{option('net', 'conv')} reads images (channels, height, width), and this field has shape {field.shape}: "
            f"take {option('net', 'mlp')}"
        )
    c, h, w = field.shape
    return c, h, w
