"""Variational autoencoder with two stochastic layers (Burda, Grosse & Salakhutdinov 2016).

    p(x, z1, z2) = p(z2) p(z1 | z2) p(x | decoder(z1))        q(z1, z2 | x) = q(z1 | encoder(x)) q(z2 | above(z1))

p(z1 | z2) is a diagonal normal from a network of z2, and p(z2) is N(0, I), the mixture of q(z2 | .) over pseudo-inputs
that stand in the place of z1, or a flow. The model is written from the top down, the guide from the bottom
up, each layer with a family of its own: `guide="z1=iaf,z2=diagonal"`. By default the sizes are those of the paper's
network with two stochastic layers, x-200-200-100-100-100-50.

Yuri Burda, Roger Grosse, Ruslan Salakhutdinov: Importance Weighted Autoencoders. ICLR 2016.
"""

from collections.abc import Mapping

import pyro
from pydantic import Field as Option
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae import nets
from pyrovae.data.field import Field
from pyrovae.guides.diagonal import Diagonal
from pyrovae.likelihoods import LikelihoodConfig, likelihood
from pyrovae.nets.fields import Width
from pyrovae.pairs.pair import Pair
from pyrovae.priors import PriorConfig, prior
from pyrovae.registry.families import Family


class Config(nets.NetConfig, PriorConfig, LikelihoodConfig):
    latent_dim: tuple[Width, Width] = Option((100, 50), description="dimensions of z1 and of z2")
    hidden2: tuple[Width, ...] = Option(
        (100, 100), min_length=1, description="widths of the layers between z1 and z2; --hidden: between x and z1"
    )


class Model(nn.Module):
    prior: nn.Module

    def __init__(self, config: Config, x: Field) -> None:
        super().__init__()
        z1, z2 = config.latent_dim
        self.below = nets.mlp([z2, *config.hidden2[::-1]], config.activation)
        self.p = Diagonal(config.hidden2[0], z1)
        self.likelihood = likelihood(x, config)
        self.decoder = nets.decoder(z1, x, self.likelihood.outputs, config, self.likelihood.bias(x))

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z2 = pyro.sample("z2", self.prior())
            z1 = pyro.sample("z1", self.p(self.below(z2)))
            pyro.sample("x", self.likelihood(self.decoder(z1)), obs=x)


class Guide(nn.Module):
    def __init__(self, config: Config, x: Field, family: Family) -> None:
        super().__init__()
        z1, z2 = config.latent_dim
        self.encoder = nets.encoder(x, config)
        self.q1 = family(self.encoder.features, z1, site="z1")
        self.above = nets.mlp([z1, *config.hidden2], config.activation)
        self.q2 = family(config.hidden2[-1], z2, site="z2")

    def posterior(self, z1: Tensor) -> TorchDistribution:
        q: TorchDistribution = self.q2(self.above(z1))
        return q

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", self.q1(self.encoder(x)))
            pyro.sample("z2", self.posterior(z1))


def build(config: Config, fields: Mapping[str, Field], family: Family) -> Pair:
    x = fields["x"]
    model, guide = Model(config, x), Guide(config, x, family)
    # Last, so that a seed gives the networks the same weights with every prior.
    model.prior = prior(config, config.latent_dim[1], guide.posterior, config.latent_dim[0])
    return Pair(model, guide, inputs=("x",))
