"""Linear-Gaussian pairs with guides that miss the posterior in known ways, and with two latent sites."""

import dataclasses

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae import Pair, registry
from pyrovae.testing.gaussian import LinearGaussian

SIGMA = 0.7


@dataclasses.dataclass(frozen=True)
class Known:
    """A pair in double precision with what is known of it.

    Attributes:
        pair: model and guide.
        x: (N, 5) data drawn from the model.
        log_p: (N,) log p(x).
        diagonal_gap: log p(x) - ELBO of the best diagonal Gaussian, the same for each datum.
    """

    pair: Pair
    x: Tensor
    log_p: Tensor
    diagonal_gap: float


class Family(nn.Module):
    """q(z | x) from a guide family on a linear encoder with random weights: amortized, and badly so."""

    def __init__(self, guide: str) -> None:
        super().__init__()
        self.encoder = nn.Linear(5, 9).double()
        self.q = registry.family(guide)(9, 2).double()

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(self.encoder(x)))


def known(guide: str = "diagonal", n: int = 6) -> Known:
    """x = W z + b + noise with two latents that are far from independent a posteriori."""
    draw = torch.Generator().manual_seed(1)
    W = torch.randn(5, 2, generator=draw, dtype=torch.float64)
    W = torch.stack([W[:, 0], W[:, 0] + 0.7 * W[:, 1]], 1)
    b = torch.randn(5, generator=draw, dtype=torch.float64)
    x = 0.5 * torch.randn(n, 2, generator=draw, dtype=torch.float64) @ W.T + b
    x = x + SIGMA * torch.randn(n, 5, generator=draw, dtype=torch.float64)
    model = LinearGaussian(W, b, SIGMA)
    return Known(Pair(model, Family(guide)), x, model.log_p(x), model.diagonal_gap())


class ChainModel(nn.Module):
    """z1 ~ N(0, I), z2 ~ N(A z1, I), x ~ N(W z2, sigma^2 I)."""

    def __init__(self, A: Tensor, W: Tensor) -> None:
        super().__init__()
        self.A, self.W = nn.Parameter(A), nn.Parameter(W)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            z2 = pyro.sample("z2", dist.Normal(z1 @ self.A.T, 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z2 @ self.W.T, SIGMA).to_event(1), obs=x)


class ChainGuide(nn.Module):
    """q(z1 | x) q(z2 | z1, x), Gaussians with means that are linear: the posterior is of this form."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 2).double(), nn.Linear(7, 2).double()
        self.tril1 = nn.Parameter(torch.eye(2, dtype=torch.float64))
        self.tril2 = nn.Parameter(torch.eye(2, dtype=torch.float64))

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", dist.MultivariateNormal(self.first(x), scale_tril=lower(self.tril1)))
            both = torch.cat([z1, x.expand(*z1.shape[:-1], 5)], -1)
            pyro.sample("z2", dist.MultivariateNormal(self.second(both), scale_tril=lower(self.tril2)))


def lower(raw: Tensor) -> Tensor:
    return raw.tril(-1) + nn.functional.softplus(raw.diagonal()).diag_embed()


def chain(n: int = 6) -> Known:
    """Two latent sites, the second drawn from the first; its diagonal gap is not used, and is 0."""
    draw = torch.Generator().manual_seed(2)
    A = torch.randn(2, 2, generator=draw, dtype=torch.float64)
    W = torch.randn(5, 2, generator=draw, dtype=torch.float64)
    latent = A @ A.T + torch.eye(2, dtype=torch.float64)
    covariance = W @ latent @ W.T + SIGMA**2 * torch.eye(5, dtype=torch.float64)
    marginal = torch.distributions.MultivariateNormal(torch.zeros(5, dtype=torch.float64), covariance)
    x = torch.randn(n, 5, generator=draw, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    return Known(Pair(ChainModel(A, W), ChainGuide()), x, marginal.log_prob(x), 0.0)
