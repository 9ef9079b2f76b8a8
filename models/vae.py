"""Variational autoencoder for images and vectors (Kingma & Welling 2014).

    p(x, z) = p(z) p(x | decoder(z))        q(z | x) = guide(encoder(x))

x is an image (C, H, W) or a vector (D,); z is (latent_dim,). Networks are fully connected or convolutional; p(x | .)
is a Bernoulli for binary data and a Normal otherwise. p(z) is N(0, I), the guide's mixture over pseudo-inputs
(Tomczak & Welling 2018) or a flow.

Diederik P. Kingma, Max Welling: Auto-Encoding Variational Bayes. ICLR 2014.
Jakub M. Tomczak, Max Welling: VAE with a VampPrior. AISTATS 2018.
"""

from collections.abc import Mapping

import pyro
from pydantic import Field as Option
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae import nets
from pyrovae.data.field import Field
from pyrovae.likelihoods import LikelihoodConfig, likelihood
from pyrovae.pairs.pair import Pair
from pyrovae.priors import PriorConfig, prior
from pyrovae.registry.families import Family


class Config(nets.NetConfig, PriorConfig, LikelihoodConfig):
    latent_dim: int = Option(20, ge=1, description="dimensions of z")


class Model(nn.Module):
    prior: nn.Module

    def __init__(self, config: Config, x: Field) -> None:
        super().__init__()
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
