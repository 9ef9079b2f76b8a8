"""Convolutional networks for images of any size and channel count: each layer halves the image, rounding up."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyrovae.nets.left import fold
from pyrovae.nets.mlp import activate, linear, parts_of

Shape = tuple[int, int, int]

CHANNELS = -3
"""The dim of an image that they stand in."""


def halvings(size: int, times: int) -> list[int]:
    """`size` and what `times` convolutions of stride 2 leave of it: 28, 14, 7."""
    sizes = [size]
    for _ in range(times):
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


class ConvEncoder(nn.Module):
    """(*L, C, H, W) -> (*L, features): convolutions of stride 2, then one linear layer."""

    def __init__(self, shape: Shape, channels: Sequence[int], features: int, activation: str = "relu") -> None:
        super().__init__()
        self.features = features
        parts = parts_of(activation)
        layers: list[nn.Module] = []
        for n_in, n_out in zip([shape[0], *channels], channels, strict=False):
            layers += [nn.Conv2d(n_in, parts * n_out, 3, stride=2, padding=1), activate(activation, CHANNELS)]
        height, width = (halvings(size, len(channels))[-1] for size in shape[1:])
        last = linear(channels[-1] * height * width, features, parts)
        self.net = nn.Sequential(*layers, nn.Flatten(), last, activate(activation))

    def forward(self, x: Tensor) -> Tensor:
        return fold(self.net, (x, 3))


class ConvDecoder(nn.Module):
    """(*L, features) -> (*L, C, H, W): one linear layer, then transposed convolutions that undo each halving."""

    def __init__(self, features: int, channels: Sequence[int], shape: Shape, activation: str = "relu") -> None:
        super().__init__()
        parts = parts_of(activation)
        heights, widths = (halvings(size, len(channels))[::-1] for size in shape[1:])
        outs = [*channels[1:], shape[0]]
        layers: list[nn.Module] = [
            linear(features, channels[0] * heights[0] * widths[0], parts),
            activate(activation),
            nn.Unflatten(-1, (channels[0], heights[0], widths[0])),
        ]
        for i, (n_in, n_out) in enumerate(zip(channels, outs, strict=True)):
            # A transposed convolution gives 2 n - 1 and what output_padding adds: exactly the size before.
            extra = (heights[i + 1] - 2 * heights[i] + 1, widths[i + 1] - 2 * widths[i] + 1)
            last = i == len(outs) - 1
            layers.append(_transposed(n_in, n_out, extra, 1 if last else parts))
            if not last:
                layers.append(activate(activation, CHANNELS))
        self.net = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        return fold(self.net, (z, 1))


def _transposed(n_in: int, n_out: int, extra: tuple[int, int], parts: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(n_in, parts * n_out, 3, stride=2, padding=1, output_padding=extra)
    with torch.no_grad():
        for tensor in layer.parameters():  # torch's bounds go by the number of outputs: that of one part
            tensor.mul_(parts**0.5)
    return layer
