"""A linear-Gaussian model, of which everything is known in closed form."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn


class LinearGaussian(nn.Module):
    """z ~ N(0, I), x ~ N(W z + b, sigma^2 I): the model, and what is known of it.

    Michael E. Tipping, Christopher M. Bishop: Probabilistic Principal Component Analysis. JRSS B 1999.

    Args:
        W: (D, d).
        b: (D,).
        sigma: of the noise.
    """

    W: Tensor
    b: Tensor

    def __init__(self, W: Tensor, b: Tensor, sigma: float) -> None:
        super().__init__()
        self.register_buffer("W", W)
        self.register_buffer("b", b)
        self.sigma = sigma

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(torch.zeros_like(self.W[0]), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z @ self.W.T + self.b, self.sigma).to_event(1), obs=x)

    def precision(self) -> Tensor:
        """(d, d) inverse covariance of p(z | x), the same for each x, in double precision."""
        W = self.W.double()
        return torch.eye(W.shape[1], dtype=W.dtype, device=W.device) + W.T @ W / self.sigma**2

    def posterior_mean(self, x: Tensor) -> Tensor:
        """(N, d) mean of p(z | x)."""
        centred = x.double() - self.b.double()
        means: Tensor = torch.linalg.solve(self.precision(), self.W.double().T @ centred.T / self.sigma**2).T
        return means

    def log_p(self, x: Tensor) -> Tensor:
        """(N,) log p(x), nats, in double precision."""
        W = self.W.double()
        covariance = W @ W.T + self.sigma**2 * torch.eye(len(W), dtype=W.dtype, device=W.device)
        log_p: Tensor = torch.distributions.MultivariateNormal(self.b.double(), covariance).log_prob(x.double())
        return log_p

    def diagonal_gap(self) -> float:
        """log p(x) - ELBO of the best diagonal Gaussian, which has the posterior's mean and the inverse of the diagonal
        of its precision: nats, the same for each x."""
        precision = self.precision()
        return ((precision.diagonal().log().sum() - torch.logdet(precision)) / 2).item()

    def draw(self, n: int) -> Tensor:
        """(n, D) data of the model."""
        noise = self.sigma * torch.randn(n, len(self.W), dtype=self.W.dtype, device=self.W.device)
        z = torch.randn(n, self.W.shape[1], dtype=self.W.dtype, device=self.W.device)
        return z @ self.W.T + self.b + noise
