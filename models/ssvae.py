"""Semi-supervised VAE, the model M2 of Kingma, Mohamed, Rezende & Welling (2014).

    p(x, y, z) = p(y) N(z; 0, I) p(x | decoder(y, z))        q(y, z | x) = q(y | x) guide(encoder(x), y)

y is the class, a latent that some training data show: labels that are not kept (`labels`) are -1. q(y | x) is a
classifier, clamped to the label where there is one, and y is summed out of the ELBO exactly. So a labelled datum gives
the bound of log p(x, y), an unlabelled one that of log p(x). The loss a datum gets

    w * mean over the labelled data of -log q(y | x),    w = `label_weight` (alpha / N in the paper, 0.1 there)

beside it, which trains the classifier by the labels: an expectation, whatever the batch size and however many labels
there are. Validation and test data are scored without their labels; `accuracy` compares these with argmax q(y | x).

Diederik P. Kingma, Danilo J. Rezende, Shakir Mohamed, Max Welling: Semi-supervised Learning with Deep Generative
Models. NeurIPS 2014.
"""

from collections.abc import Mapping

import pyro
import pyro.distributions as dist
import torch
from pydantic import Field as Option
from torch import Tensor, nn

from pyrovae import nets
from pyrovae.data.dataset import Dataset
from pyrovae.data.field import Field
from pyrovae.data.labelled import with_labels
from pyrovae.errors import UsageError
from pyrovae.likelihoods import LikelihoodConfig, likelihood
from pyrovae.pairs.pair import Pair
from pyrovae.priors import StandardNormal
from pyrovae.registry.families import Family

CLAMP = 1e3
"""Nats between the label and every other class of a labelled datum: e^-1000 is 0, and 0 times it is no NaN."""


class Config(nets.NetConfig, LikelihoodConfig):
    latent_dim: int = Option(50, ge=1, description="dimensions of z")
    labels: int | None = Option(
        None, ge=1, description="training labels that are kept, equally over the classes [default: all]"
    )
    label_seed: int = Option(0, ge=0, lt=2**31, description="of the draw of these labels")
    labelled_share: float | None = Option(
        None, gt=0, lt=1, description="labelled rows are repeated to be this share of training [default: each once]"
    )
    label_weight: float = Option(
        0.1, ge=0, description="of the mean of -log q(y|x) over labelled data, beside the mean loss a datum"
    )


class Model(nn.Module):
    uniform: Tensor

    def __init__(self, config: Config, x: Field, y: Field) -> None:
        super().__init__()
        self.embed = nets.embed(y)
        self.prior = StandardNormal(config.latent_dim)
        self.likelihood = likelihood(x, config)
        self.decoder = nets.decoder(
            config.latent_dim + self.embed.features, x, self.likelihood.outputs, config, self.likelihood.bias(x)
        )
        self.register_buffer("uniform", torch.zeros(self.embed.features), persistent=False)

    def forward(self, x: Tensor, y: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            y = pyro.sample("y", dist.Categorical(logits=self.uniform))  # the label acts through the guide alone
            z = pyro.sample("z", self.prior())
            pyro.sample("x", self.likelihood(self.decoder(nets.cat(z, self.embed(y)))), obs=x)


class Guide(nn.Module):
    def __init__(self, config: Config, x: Field, y: Field, family: Family) -> None:
        super().__init__()
        self.embed = nets.embed(y)
        self.recognizer = nets.encoder(x, config)
        self.classifier = nn.Linear(self.recognizer.features, self.embed.features)
        self.encoder = nets.encoder(x, config)
        features = self.encoder.features + self.embed.features
        self.joint = nets.mlp([features, config.hidden[-1]], config.activation)
        self.q = family(config.hidden[-1], config.latent_dim, site="z")
        # Of a labelled row: those that are not labelled get none.
        self.label_weight = config.label_weight / (y.labelled or 1.0)

    def forward(self, x: Tensor, y: Tensor) -> None:
        log_q = self.classifier(self.recognizer(x)).log_softmax(-1)  # (B, classes)
        label, known = self.embed(y), y >= 0
        clamped = torch.where(known.unsqueeze(-1), (label - 1) * CLAMP, log_q)
        with pyro.plate("data", len(x), dim=-1):
            pyro.factor("label", -self.label_weight * (label * log_q).sum(-1), has_rsample=True)
            y = pyro.sample("y", dist.Categorical(logits=clamped), infer={"enumerate": "parallel"})
            pyro.sample("z", self.q(self.joint(nets.cat(self.encoder(x), self.embed(y)))))


def prepare(config: Config, data: Dataset) -> Dataset:
    """The data with some labels hidden."""
    return with_labels(data, config.labels, config.label_seed, config.labelled_share)


def build(config: Config, fields: Mapping[str, Field], family: Family) -> Pair:
    x, y = fields["x"], fields["y"]
    if y.kind != "category":
        raise UsageError("ssvae classifies, and the field y of these data is no class: take data with labels")
    return Pair(Model(config, x, y), Guide(config, x, y, family), inputs=("x", "y"))
