"""What a kind of random pairs gives, and what its pairs are made of."""

import dataclasses
import math
import random
from collections.abc import Callable, Mapping, Sequence

import pyro
import torch
from torch import Tensor, nn

from pyrovae import Pair


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair of which log p(x) is known.

    Attributes:
        pair: model and guide.
        batch: its data.
        log_p: (N,) in double precision, by a closed form or by quadrature.
        sound: whether the guide covers the posterior and the precision resolves it, so that it is to be trusted.
        about: what was drawn.
        elbo: (N,) by a closed form, where there is one.
        log_ratio: (S, N) log p(z | x) / q(z | x) at S draws of each posterior, where they are known.
        blind: why no weight can show that the estimate is wrong; such a case is neither sound nor counted as wrong.
        anneal: whether its latents can be moved by HMC.
        widen: whether its guide can be widened.
        samples: K; None leaves it to the search.
    """

    pair: Pair
    batch: Sequence[Tensor]
    log_p: Tensor
    sound: bool
    about: str
    elbo: Tensor | None = None
    log_ratio: Tensor | None = None
    blind: str = ""
    anneal: bool = False
    widen: bool = False
    samples: int | None = None


class Program(nn.Module):
    """One of the two programs, its parameters as buffers, so that `double` reaches them; written inside the plate."""

    def __init__(self, parameters: Mapping[str, Tensor], body: Callable[..., object]) -> None:
        super().__init__()
        for name, value in parameters.items():
            self.register_buffer(name, value)
        self.body = body

    def forward(self, *batch: Tensor) -> None:
        with pyro.plate("data", len(batch[0]), dim=-1):
            self.body(*batch, dict(self.named_buffers()))


def pair_of(
    parameters: Mapping[str, Tensor],
    model: Callable[..., object],
    guide: Callable[..., object],
    of_guide: Mapping[str, Tensor] | None = None,
    inputs: Sequence[str] = ("x",),
) -> Pair:
    """A pair of two functions of the batch and of parameters by name."""
    return Pair(Program(parameters, model), Program(parameters if of_guide is None else of_guide, guide), inputs)


def unseen(case: Case, samples: int) -> float:
    """Nats by which the mean of K samples lies too low without a word: the posterior where K draws of the guide are
    expected less than once for all its mass, p(z | x) > K q(z | x)."""
    if case.log_ratio is None:
        return 0.0
    share = (case.log_ratio > math.log(samples)).double().mean(0).clamp_max(1 - 1 / (len(case.log_ratio) + 1))
    return float(-torch.log1p(-share).mean())


def drawn(kind: str, seed: int) -> random.Random:
    """The numbers of a case; torch draws from the same seed."""
    torch.manual_seed(seed)
    return random.Random(f"{kind} {seed}")


def normal(*shape: int) -> Tensor:
    """Standard normal numbers in double precision."""
    return torch.randn(shape, dtype=torch.float64)


def rounded(values: Mapping[str, Tensor], dtype: torch.dtype) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters as the pair has them, and the same numbers in double precision."""
    own = {name: value.to(dtype) if value.is_floating_point() else value for name, value in values.items()}
    return own, {name: value.double() if value.is_floating_point() else value for name, value in own.items()}


def reaches(log_ratio: Tensor, most: float = 20.0, effective: float = 3.0) -> bool:
    """Whether a guide covers posteriors, by log p(z | x) / q(z | x), (K, N), at draws of the posteriors.

    Args:
        log_ratio: (K, N).
        most: the largest ratio.
        effective: its mean, K over the effective sample size of K weights.
    """
    ratio = log_ratio.exp()
    return bool((ratio.mean(0) <= effective).all() and (ratio <= most).all())
