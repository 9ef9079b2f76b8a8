"""Sentence VAE with a GRU encoder and a GRU decoder (Bowman et al. 2016).

    p(x, z) = N(z; 0, I) prod_t p(x_t | x_<t, z)        q(z | x) = guide(encoder(x))

x is a padded sentence (T,) that ends in <eos>; padding never changes a number. The decoder gets z in its initial
state and beside every input word. Word dropout replaces input words by <unk> while training, which makes the decoder
ask z for them. `z=False` is the same decoder without z: a language model, to compare with.

Samuel R. Bowman, Luke Vilnis, Oriol Vinyals, Andrew M. Dai, Rafal Jozefowicz, Samy Bengio: Generating Sentences from a
Continuous Space. CoNLL 2016.
"""

from collections.abc import Mapping

import pyro
import torch
from pydantic import Field as Option
from torch import Tensor, nn
from torch.nn.functional import linear

from pyrovae import nets
from pyrovae.config import Config as Base
from pyrovae.data.field import Field
from pyrovae.data.transforms import trim
from pyrovae.errors import UsageError, option
from pyrovae.likelihoods import Autoregressive
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import NoGuide, Pair
from pyrovae.priors import StandardNormal
from pyrovae.registry.families import Family

DATA = "pydoc"


class Config(Base):
    latent_dim: int = Option(16, ge=1, description="dimensions of z")
    embedding: int = Option(128, ge=1, description="dimensions of a word embedding")
    hidden: int = Option(128, ge=1, description="dimensions of the GRU states")
    word_dropout: float = Option(0.25, ge=0, lt=1, description="share of the decoder's input words replaced by <unk>")
    tied: bool = Option(True, description="one matrix for the decoder's input and output words")
    z: bool = Option(True, description="--no-z: the same decoder without z, a language model")


class Training(TrainConfig):
    epochs: int | None = Option(20, ge=1, description="passes over the training data")
    batch_size: int | None = Option(32, ge=1, description="data a step")
    kl_warmup: float = Option(10.0, ge=0, description="epochs over which the KL weight grows to beta")
    lr: float = Option(3e-3, gt=0, description="learning rate")
    clip: float = Option(5.0, ge=0, description="largest global norm of the gradient; 0 does not clip")
    # A sample costs as much as a third of a step: of pydoc 200 took a fifth of the time of training, for 0.08 nats.
    score_samples: int = Option(50, ge=1, le=10**9, description="importance samples of the log-likelihood at the end")


class Decoder(nn.Module):
    """z (N, D) and the words before -> logits of the next word; with D = 0 a language model."""

    pad: int
    bos: int
    eos: int

    def __init__(self, config: Config, x: Field, latent_dim: int) -> None:
        super().__init__()
        assert x.size and x.pad is not None and x.bos is not None and x.eos is not None and x.unk is not None
        self.pad, self.bos, self.eos, self.unk = x.pad, x.bos, x.eos, x.unk
        self.word_dropout = config.word_dropout
        self.embedding = nn.Embedding(x.size, config.embedding)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.first = nn.Linear(latent_dim, config.hidden) if latent_dim else None
        self.hidden = config.hidden
        self.gru = nn.GRU(config.embedding + latent_dim, config.hidden, batch_first=True)
        self.out = nn.Linear(config.hidden, config.embedding) if config.tied else nn.Linear(config.hidden, x.size)
        self.bias = nn.Parameter(torch.zeros(x.size)) if config.tied else None

    def start(self, z: Tensor) -> Tensor:
        return z.new_zeros(len(z), self.hidden) if self.first is None else torch.tanh(self.first(z))

    def logits(self, z: Tensor, inputs: Tensor) -> Tensor:
        if self.training and self.word_dropout:
            dropped = torch.rand(inputs.shape, device=inputs.device) < self.word_dropout
            inputs = torch.where(dropped & (inputs != self.bos), self.unk, inputs)
        return self._run(z, inputs, self.start(z))[0]

    def advance(self, z: Tensor, word: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        logits, state = self._run(z, word.unsqueeze(1), state)
        return logits[:, 0], state

    def _run(self, z: Tensor, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        words = self.embedding(inputs)  # (N, T, E)
        h, last = self.gru(torch.cat([words, z.unsqueeze(1).expand(-1, words.shape[1], -1)], -1), state[None])
        h = self.out(h)
        return h if self.bias is None else linear(h, self.embedding.weight, self.bias), last[0]


class Encoder(nn.Module):
    """(*L, T) -> (*L, features): the last states of a GRU that reads forwards and of one that reads backwards."""

    def __init__(self, config: Config, x: Field) -> None:
        super().__init__()
        assert x.size and x.pad is not None
        self.pad = x.pad
        self.features = 2 * config.hidden
        self.embedding = nn.Embedding(x.size, config.embedding)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.forwards = nn.GRU(config.embedding, config.hidden, batch_first=True)
        self.backwards = nn.GRU(config.embedding, config.hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return nets.fold(self._states, (x, 1))

    def _states(self, x: Tensor) -> Tensor:  # (N, T) -> (N, features)
        x = trim(x, self.pad)
        length = (x != self.pad).sum(-1, keepdim=True).clamp_min(1)  # (N, 1)
        # Each sentence is turned around within its own length, so that padding stays behind both ways.
        time = torch.arange(x.shape[1], device=x.device)
        turned = x.gather(1, torch.where(time < length, length - 1 - time, time))
        return torch.cat([self._last(self.forwards, x, length), self._last(self.backwards, turned, length)], -1)

    def _last(self, gru: nn.GRU, x: Tensor, length: Tensor) -> Tensor:
        states = gru(self.embedding(x))[0]  # (N, T, H)
        last: Tensor = states[torch.arange(len(x), device=x.device), length.squeeze(-1) - 1]
        return last


class Model(nn.Module):
    def __init__(self, config: Config, x: Field) -> None:
        super().__init__()
        self.prior = StandardNormal(config.latent_dim)
        self.decoder = Decoder(config, x, config.latent_dim)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", self.prior())
            pyro.sample("x", Autoregressive(self.decoder, z, x.shape[-1]), obs=x)


class Guide(nn.Module):
    def __init__(self, config: Config, x: Field, family: Family) -> None:
        super().__init__()
        self.encoder = Encoder(config, x)
        self.q = family(self.encoder.features, config.latent_dim, site="z")

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(self.encoder(x)))


class LanguageModel(nn.Module):
    """p(x) = prod_t p(x_t | x_<t): the decoder with a z of no dimensions."""

    def __init__(self, config: Config, x: Field) -> None:
        super().__init__()
        self.decoder = Decoder(config, x, latent_dim=0)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            nothing = self.decoder.embedding.weight.new_zeros(len(x), 0)
            pyro.sample("x", Autoregressive(self.decoder, nothing, x.shape[-1]), obs=x)


def build(config: Config, fields: Mapping[str, Field], family: Family) -> Pair:
    x = fields["x"]
    if x.kind != "tokens":
        raise UsageError(
            f"textvae reads sentences, and the field x of these data is no text: take {option('data', 'pydoc')}, or a "
            f"text file"
        )
    if not config.z:
        return Pair(LanguageModel(config, x), NoGuide(), inputs=("x",))
    return Pair(Model(config, x), Guide(config, x, family), inputs=("x",))
