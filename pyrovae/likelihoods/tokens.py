"""Sentences, word by word: a distribution over padded token sequences."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import cross_entropy

from pyrovae.data.transforms import trim
from pyrovae.nets.left import fold


class Decoder(Protocol):
    """What predicts the next word; `pad`, `bos` and `eos` are token ids."""

    pad: int
    bos: int
    eos: int

    def logits(self, z: Tensor, inputs: Tensor) -> Tensor:
        """All next words at once: z (N, D), the words before (N, T) -> logits (N, T, V), which may be written to."""
        ...

    def start(self, z: Tensor) -> Tensor:
        """The state before the first word: (N, D) -> (N, S)."""
        ...

    def advance(self, z: Tensor, word: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One word further: z (N, D), word (N,), state (N, S) -> logits (N, V) and the next state."""
        ...


class Autoregressive(TorchDistribution):
    """p(x | z) = prod_t p(x_t | x_<t, z), over sentences that end in <eos> and are padded to `length`.

    `log_prob` feeds the words of the value itself (teacher forcing) and leaves padding out: a sentence is scored
    through its <eos>, whatever stands around it in the batch. `sample` runs the loop, up to `length` words; so the
    model never reads the sentence that it generates.

    Args:
        decoder: what predicts the next word.
        z: (*L, D); batch shape L.
        length: T, the event shape is (T,).
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = False

    def __init__(self, decoder: Decoder, z: Tensor, length: int, validate_args: bool | None = None) -> None:
        self.decoder = decoder
        self.z = z
        super().__init__(z.shape[:-1], torch.Size([length]), validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.nonnegative_integer, 1)

    def expand(self, batch_shape: Sequence[int], _instance: Autoregressive | None = None) -> Autoregressive:
        z = self.z.expand(*batch_shape, self.z.shape[-1])
        return Autoregressive(self.decoder, z, self.event_shape[0], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*L', T) ints -> (*L'), nats."""
        return fold(self._score, (self.z, 1), (value, 1))

    def _score(self, z: Tensor, value: Tensor) -> Tensor:
        value = trim(value, self.decoder.pad)
        before = torch.cat([value.new_full((len(value), 1), self.decoder.bos), value[:, :-1]], 1)
        logits = self._words(self.decoder.logits(z, before))  # (N, T, V)
        # Padding is no word: a term that is left out, not one of minus infinity.
        nll = cross_entropy(logits.flatten(0, 1), value.flatten(), ignore_index=self.decoder.pad, reduction="none")
        return -nll.view(value.shape).sum(-1)

    def _words(self, logits: Tensor) -> Tensor:
        """Neither padding nor <bos> is a word: they have no share in what is scored, and are never drawn."""
        # In place: a copy of (N, T, V) takes as long as the matrix product that made it.
        nowhere = torch.tensor([self.decoder.pad, self.decoder.bos], device=logits.device)
        return logits.index_fill_(-1, nowhere, -torch.inf)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """(*sample_shape, *L, T) ints: words drawn until <eos>, then padding."""
        return self.draw(sample_shape)

    def draw(self, sample_shape: Sequence[int] = (), temperature: float = 1.0, without: Sequence[int] = ()) -> Tensor:
        """The same with each word from the softmax of logits / temperature, at 0 the most likely one; and none of the
        tokens `without`."""
        z = self.z.expand(*sample_shape, *self.z.shape)
        with torch.no_grad():
            return fold(functools.partial(self._draw, temperature, list(without)), (z, 1))

    def _draw(self, temperature: float, without: list[int], z: Tensor) -> Tensor:
        decoder = self.decoder
        word = torch.full((len(z),), decoder.bos, dtype=torch.long, device=z.device)
        ended = torch.zeros_like(word, dtype=torch.bool)
        state, words = decoder.start(z), []
        for _ in range(self.event_shape[0]):
            logits, state = decoder.advance(z, word, state)
            logits = self._words(logits)
            logits[:, without] = -torch.inf
            if temperature:
                word = torch.distributions.Categorical(logits=logits / temperature, validate_args=False).sample()
            else:
                word = logits.argmax(-1)
            words.append(torch.where(ended, decoder.pad, word))
            ended = ended | (word == decoder.eos)
        return torch.stack(words, -1)
