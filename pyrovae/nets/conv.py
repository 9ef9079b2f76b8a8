"""Convolutional networks for images of any size and channel count: each layer halves the image, rounding up."""

from collections.abc import Sequence

from torch import Tensor, nn

from pyrovae.nets.left import fold
from pyrovae.nets.mlp import ACTIVATIONS, linear

Shape = tuple[int, int, int]


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
        act = ACTIVATIONS[activation]
        layers: list[nn.Module] = []
        for n_in, n_out in zip([shape[0], *channels], channels, strict=False):
            layers += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), act()]
        height, width = (halvings(size, len(channels))[-1] for size in shape[1:])
        self.net = nn.Sequential(*layers, nn.Flatten(), linear(channels[-1] * height * width, features), act())

    def forward(self, x: Tensor) -> Tensor:
        return fold(self.net, (x, 3))


class ConvDecoder(nn.Module):
    """(*L, features) -> (*L, C, H, W): one linear layer, then transposed convolutions that undo each halving."""

    def __init__(self, features: int, channels: Sequence[int], shape: Shape, activation: str = "relu") -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        heights, widths = (halvings(size, len(channels))[::-1] for size in shape[1:])
        outs = [*channels[1:], shape[0]]
        layers: list[nn.Module] = [
            linear(features, channels[0] * heights[0] * widths[0]),
            act(),
            nn.Unflatten(-1, (channels[0], heights[0], widths[0])),
        ]
        for i, (n_in, n_out) in enumerate(zip(channels, outs, strict=True)):
            # A transposed convolution gives 2 n - 1 and what output_padding adds: exactly the size before.
            extra = (heights[i + 1] - 2 * heights[i] + 1, widths[i + 1] - 2 * widths[i] + 1)
            layers += [nn.ConvTranspose2d(n_in, n_out, 3, stride=2, padding=1, output_padding=extra), act()]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor) -> Tensor:
        return fold(self.net, (z, 1))
