"""Variational autoencoder for images and vectors (Kingma & Welling 2014).

    p(x, z) = N(z; 0, I) p(x | decoder(z))        q(z | x) = guide(encoder(x))

x is an image (C, H, W) or a vector (D,); z is (latent_dim,). Networks are fully connected or convolutional; p(x | .)
is a Bernoulli for binary data and a Normal otherwise.

Diederik P. Kingma, Max Welling: Auto-Encoding Variational Bayes. ICLR 2014.
"""

from collections.abc import Mapping

import pyro
from pydantic import Field as Option
from torch import Tensor, nn

from pyrovae import nets
from pyrovae.data.field import Field
from pyrovae.likelihoods import LikelihoodConfig, likelihood
from pyrovae.pair import Pair
from pyrovae.priors import StandardNormal
from pyrovae.registry import Family


class Config(nets.NetConfig, LikelihoodConfig):
    latent_dim: int = Option(20, ge=1, description="dimensions of z")


class Model(nn.Module):
    def __init__(self, config: Config, x: Field) -> None:
        super().__init__()
        self.prior = StandardNormal(config.latent_dim)
        self.likelihood = likelihood(x, config)
        self.decoder = nets.decoder(config.latent_dim, x, self.likelihood.outputs, config, self.likelihood.bias(x))

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", self.prior())
            pyro.sample("x", self.likelihood(self.decoder(z)), obs=x)


class Guide(nn.Module):
    def __init__(self, config: Config, x: Field, family: Family) -> None:
        super().__init__()
        self.encoder = nets.encoder(x, config)
        self.q = family(self.encoder.features, config.latent_dim, site="z")

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(self.encoder(x)))


def build(config: Config, fields: Mapping[str, Field], family: Family) -> Pair:
    x = fields["x"]
    return Pair(Model(config, x), Guide(config, x, family), inputs=("x",))
