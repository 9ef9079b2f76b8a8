"""Residual convolutional networks with ELU (He et al. 2016; as the encoder and decoder of Kingma et al. 2016)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import elu, interpolate

from pyrovae.nets.conv import Shape, halvings
from pyrovae.nets.left import fold
from pyrovae.nets.mlp import linear


class Block(nn.Module):
    """x + conv(elu(conv(elu(x)))), to another size and number of channels where asked; (N, C, H, W)."""

    def __init__(self, n_in: int, n_out: int, size: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        self.size = size
        self.first = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1)
        self.second = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride=stride) if stride > 1 or n_in != n_out else nn.Identity()
        # The block starts as its shortcut, so that depth does not change the scale of the features.
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] < self.size[0] or x.shape[-1] < self.size[1]:
            x = interpolate(x, size=self.size, mode="nearest")
        out: Tensor = self.shortcut(x) + self.second(elu(self.first(elu(x))))
        return out


class ResNetEncoder(nn.Module):
    """(*L, C, H, W) -> (*L, features): a stage of two blocks a width, halving the image; then a linear layer."""

    def __init__(self, shape: Shape, widths: Sequence[int], features: int) -> None:
        super().__init__()
        self.features = features
        sizes = list(zip(*(halvings(size, len(widths)) for size in shape[1:]), strict=True))
        blocks: list[nn.Module] = []
        for n_in, n_out, size in zip([shape[0], *widths[:-1]], widths, sizes[1:], strict=True):
            blocks += [Block(n_in, n_out, size, stride=2), Block(n_out, n_out, size)]
        height, width = sizes[-1]
        self.net = nn.Sequential(
            *blocks, nn.ELU(), nn.Flatten(), linear(widths[-1] * height * width, features), nn.ELU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return fold(self.net, (x, 3))


class ResNetDecoder(nn.Module):
    """(*L, features) -> (*L, C, H, W): the encoder's stages backwards, with nearest-neighbour enlargement."""

    def __init__(self, features: int, widths: Sequence[int], shape: Shape) -> None:
        super().__init__()
        sizes = list(zip(*(halvings(size, len(widths))[::-1] for size in shape[1:]), strict=True))
        height, width = sizes[0]
        blocks: list[nn.Module] = []
        for n_in, n_out, size in zip(widths, [*widths[1:], widths[-1]], sizes[1:], strict=True):
            blocks += [Block(n_in, n_in, (0, 0)), Block(n_in, n_out, size)]
        self.net = nn.Sequential(
            linear(features, widths[0] * height * width),
            nn.Unflatten(-1, (widths[0], height, width)),
            *blocks,
            nn.ELU(),
            nn.Conv2d(widths[-1], shape[0], 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        return fold(self.net, (z, 1))
