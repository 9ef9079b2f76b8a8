"""Residual networks with an inverse autoregressive flow, after the MNIST experiment of Kingma et al. 2016.

    p(x, z) = p(z) p(x | decoder(z)), with p(z) = N(0, I) or another prior
    q(z | x): h = encoder(x); z_0 ~ N(mu(h), diag sigma(h)^2); z_t = s_t * z_(t-1) + (1 - s_t) * m_t,  t = 1..T

(s_t, m_t) come from masked networks of z_(t-1) and the context h, with the ordering of z reversed between steps.
Images are read and written by convolutional residual networks with ELU; anything else by fully connected ones.
The number and widths of the blocks are this file's choice. Free bits are `free_bits`. The flow is the default guide;
any other may take its place.

Diederik P. Kingma, Tim Salimans, Rafal Jozefowicz, Xi Chen, Ilya Sutskever, Max Welling: Improving Variational
Inference with Inverse Autoregressive Flow. NeurIPS 2016.
"""

from collections.abc import Mapping

import pyro
from pydantic import Field as Option
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae import nets
from pyrovae.data.field import Field
from pyrovae.likelihoods import LikelihoodConfig, likelihood
from pyrovae.nets.fields import Width, start_at
from pyrovae.pairs.pair import Pair
from pyrovae.priors import PriorConfig, prior
from pyrovae.registry.families import Family

GUIDE = "iaf"


class Config(PriorConfig, LikelihoodConfig):
    latent_dim: int = Option(32, ge=1, description="dimensions of z")
    widths: tuple[Width, ...] = Option((16, 32), min_length=1, description="feature maps of the stages, each halving x")
    context: int = Option(256, ge=1, description="dimensions of the encoder's h, which every step of the flow reads")

    def dense(self) -> nets.NetConfig:
        """The networks where the data are no images."""
        return nets.NetConfig(hidden=(self.context, self.context), activation="elu")


class Model(nn.Module):
    prior: nn.Module

    def __init__(self, config: Config, x: Field) -> None:
        super().__init__()
        self.likelihood = likelihood(x, config)
        outputs, bias = self.likelihood.outputs, self.likelihood.bias(x)
        self.decoder: nn.Module
        if x.is_image:
            channels, height, width = x.shape
            shape = (outputs * channels, height, width)
            resnet = nets.ResNetDecoder(config.context, config.widths[::-1], shape)
            start_at(resnet.net[-1], bias)
            self.decoder = nn.Sequential(nets.mlp([config.latent_dim, config.context], "elu"), resnet)
        else:
            self.decoder = nets.decoder(config.latent_dim, x, outputs, config.dense(), bias)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", self.prior())
            pyro.sample("x", self.likelihood(self.decoder(z)), obs=x)


class Guide(nn.Module):
    def __init__(self, config: Config, x: Field, family: Family) -> None:
        super().__init__()
        self.encoder = (
            nets.ResNetEncoder(x.shape, config.widths, config.context)
            if len(x.shape) == 3
            else nets.encoder(x, config.dense())
        )
        self.q = family(config.context, config.latent_dim, site="z")

    def posterior(self, x: Tensor) -> TorchDistribution:
        q: TorchDistribution = self.q(self.encoder(x))
        return q

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.posterior(x))


def build(config: Config, fields: Mapping[str, Field], family: Family) -> Pair:
    x = fields["x"]
    model, guide = Model(config, x), Guide(config, x, family)
    # Last, so that a seed gives the networks the same weights with every prior.
    model.prior = prior(config, config.latent_dim, guide.posterior, x)
    return Pair(model, guide, inputs=("x",))
