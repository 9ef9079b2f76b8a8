"""Conditional variational autoencoder (Sohn, Lee & Yan 2015).

    p(x, z | y) = p(z | y) p(x | decoder(z, y))        q(z | x, y) = guide(encoder(x), y)

The condition y is a class label (one-hot, or a learned embedding), any real vector, or the given quadrants of x
(`condition="quadrants"`). The prior p(z | y) is standard normal, or a diagonal normal from a network of y.

With quadrants, y is the picture (values of the given quadrants and their mask, (C + 1, H, W)) and the likelihood
scores the hidden quadrants only: log p(x_hidden | x_given).

`skip=False` is p(x | decoder(z)): what x owes to y goes through p(z | y), as in Pyro's example of this model. `z=False`
is the baseline of that example: p(x | decoder(y)), with no latent and so with an exact log p(x | y).

Kihyuk Sohn, Honglak Lee, Xinchen Yan: Learning Structured Output Representation using Deep Conditional Generative
Models. NeurIPS 2015.
"""

from collections.abc import Mapping
from typing import Literal

import pyro
from pydantic import Field as Option
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyrovae import nets
from pyrovae.data.dataset import Dataset
from pyrovae.data.field import Field
from pyrovae.data.transforms import with_quadrants
from pyrovae.errors import UsageError, option
from pyrovae.guides.diagonal import Diagonal
from pyrovae.likelihoods import LikelihoodConfig, likelihood
from pyrovae.pairs.pair import NoGuide, Pair
from pyrovae.priors import StandardNormal
from pyrovae.registry.families import Family


class Config(nets.NetConfig, LikelihoodConfig):
    latent_dim: int = Option(20, ge=1, description="dimensions of z")
    condition: Literal["label", "quadrants"] = Option(
        "label", description="y: the field y of the data (a label or a real vector), or the given quadrants of x"
    )
    quadrants: Literal[1, 2, 3] = Option(1, description="how many quadrants are given")
    embedding: int | None = Option(
        None, ge=1, description="dimensions of a learned label embedding; not given: one-hot"
    )
    prior: Literal["conditional", "standard"] = Option(
        "conditional", description="p(z|y) from a network of y, or N(0, I)"
    )
    skip: bool = Option(True, description="the decoder reads y beside z; --no-skip: z alone")
    z: bool = Option(True, description="--no-z: p(x|y) from a network of y alone, to compare with")


class ConditionalPrior(nn.Module):
    """p(z | y): a diagonal normal from a hidden layer on y."""

    def __init__(self, config: Config, features: int) -> None:
        super().__init__()
        self.net = nets.mlp([features, config.hidden[-1]], config.activation)
        self.p = Diagonal(config.hidden[-1], config.latent_dim)

    def forward(self, y: Tensor) -> TorchDistribution:
        p: TorchDistribution = self.p(self.net(y))
        return p


class Model(nn.Module):
    def __init__(self, config: Config, x: Field, y: Field) -> None:
        super().__init__()
        self.embed = nets.embed(y, config.embedding)
        learned = config.prior == "conditional"
        self.conditional_prior = ConditionalPrior(config, self.embed.features) if learned else None
        self.standard_prior = StandardNormal(config.latent_dim)
        self.likelihood = likelihood(x, config)
        self.skip = config.skip
        read = config.latent_dim + (self.embed.features if config.skip else 0)
        self.decoder = nets.decoder(read, x, self.likelihood.outputs, config, self.likelihood.bias(x))
        self.partial = y.kind == "partial"

    def forward(self, x: Tensor, y: Tensor) -> None:
        features = self.embed(y)
        hidden = _hidden(y) if self.partial else None
        with pyro.plate("data", len(x), dim=-1):
            prior = self.standard_prior() if self.conditional_prior is None else self.conditional_prior(features)
            z = pyro.sample("z", prior)
            h = self.decoder(nets.cat(z, features) if self.skip else z)
            pyro.sample("x", self.likelihood(h, mask=hidden), obs=x)


class Baseline(nn.Module):
    """p(x | y): the decoder with a z of no dimensions."""

    def __init__(self, config: Config, x: Field, y: Field) -> None:
        super().__init__()
        self.embed = nets.embed(y, config.embedding)
        self.likelihood = likelihood(x, config)
        self.decoder = nets.decoder(self.embed.features, x, self.likelihood.outputs, config, self.likelihood.bias(x))
        self.partial = y.kind == "partial"

    def forward(self, x: Tensor, y: Tensor) -> None:
        hidden = _hidden(y) if self.partial else None
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("x", self.likelihood(self.decoder(self.embed(y)), mask=hidden), obs=x)


def _hidden(y: Tensor) -> Tensor:
    """(*L, C + 1, H, W) -> (*L, 1, H, W), where the picture is not given."""
    return y[..., -1:, :, :] == 0


class Guide(nn.Module):
    def __init__(self, config: Config, x: Field, y: Field, family: Family) -> None:
        super().__init__()
        self.embed = nets.embed(y, config.embedding)
        self.encoder = nets.encoder(x, config)
        features = self.encoder.features + self.embed.features
        self.joint = nets.mlp([features, config.hidden[-1]], config.activation)
        self.q = family(config.hidden[-1], config.latent_dim, site="z")

    def forward(self, x: Tensor, y: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(self.joint(nets.cat(self.encoder(x), self.embed(y)))))


def prepare(config: Config, data: Dataset) -> Dataset:
    """The data as this pair reads them: with quadrants, y is made from x."""
    return with_quadrants(data, config.quadrants) if config.condition == "quadrants" else data


def build(config: Config, fields: Mapping[str, Field], family: Family) -> Pair:
    x, y = fields["x"], fields["y"]
    if not config.skip and (not config.z or config.prior == "standard"):
        without = f"{option('z', False)} and {option('prior', 'standard')}"
        raise UsageError(f"{option('skip', False)}: y reaches x through p(z|y) alone, so leave out {without}")
    if not config.z:
        return Pair(Baseline(config, x, y), NoGuide(), inputs=("x", "y"))
    return Pair(Model(config, x, y), Guide(config, x, y, family), inputs=("x", "y"))
