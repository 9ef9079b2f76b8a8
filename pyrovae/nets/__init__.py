"""Networks: plain torch, on the last dims; particles and plates own the left ones."""

from pyrovae.nets.conv import ConvDecoder, ConvEncoder
from pyrovae.nets.fields import NetConfig, decoder, embed, encoder
from pyrovae.nets.left import cat, fold
from pyrovae.nets.mlp import ACTIVATIONS, mlp
from pyrovae.nets.resnet import ResNetDecoder, ResNetEncoder

__all__ = [
    "ACTIVATIONS",
    "ConvDecoder",
    "ConvEncoder",
    "NetConfig",
    "ResNetDecoder",
    "ResNetEncoder",
    "cat",
    "decoder",
    "embed",
    "encoder",
    "fold",
    "mlp",
]
