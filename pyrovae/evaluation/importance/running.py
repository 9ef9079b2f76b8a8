"""Running sums over the importance weights of many data, and what they say about each."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyrovae.evaluation.importance import pareto


class Estimates(NamedTuple):
    """For each of N data, on the CPU; see `LogLikelihood`."""

    log_likelihood: Tensor
    standard_error: Tensor
    ess: Tensor
    pareto_k: Tensor
    smoothed: Tensor


class Weights:
    """Log-sums of the weights of N data and of their squares, and the largest weights of each.

    It does not matter in which parts the weights come.

    Args:
        n: N.
        most: weights of one datum, at most.
        like: of which dtype and device.

    Attributes:
        drawn: (N,) how many weights each datum has.
    """

    def __init__(self, n: int, most: int, like: Tensor) -> None:
        self.first, self.second = torch.full((2, n), -torch.inf, dtype=like.dtype, device=like.device)
        self.largest = like.new_full((n, pareto.tail_length(most) + 1), -torch.inf)
        self.drawn = torch.zeros(n, dtype=torch.long, device=like.device)

    def add(self, rows: Tensor, weight: Tensor) -> None:
        """Adds log weights (K, B) of the data `rows`, (B,): all of them, or none where memory runs out."""
        first = torch.logaddexp(self.first[rows], weight.logsumexp(0))
        second = torch.logaddexp(self.second[rows], (2 * weight).logsumexp(0))
        width = self.largest.shape[1]
        # Not sorted, which costs as much again at every chunk: `estimates` sorts them once.
        largest = torch.cat([self.largest[rows], weight.T], 1).topk(width, sorted=False).values
        self.first[rows], self.second[rows], self.largest[rows] = first, second, largest
        self.drawn[rows] += len(weight)

    def squared_error(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Monte Carlo variance of each log-likelihood, by the delta method."""
        drawn = self.drawn[rows].to(self.first.dtype)
        ess = (2 * self.first[rows] - self.second[rows]).exp()
        variance: Tensor = (1 / ess - 1 / drawn).clamp_min(0)
        return variance

    def mean(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Log of the mean weight of each datum."""
        mean: Tensor = self.first[rows] - self.drawn[rows].to(self.first.dtype).log()
        return mean

    def estimates(self) -> Estimates:
        """What the weights say about each datum."""
        drawn = self.drawn.to(self.first.dtype)
        ess = torch.minimum((2 * self.first - self.second).exp().clamp_min(1.0), drawn)
        k, smoothed = torch.full_like(drawn, torch.nan), self.mean()
        for count in self.drawn.unique().tolist():
            M = pareto.tail_length(count)
            rows = (self.drawn == count).nonzero().flatten()
            if M < pareto.FEWEST:
                continue
            rows = rows[self.first[rows].isfinite()]
            largest = self.largest[rows].topk(M + 1).values
            tail = pareto.fit(largest)
            rest = self.first[rows] - largest[:, :-1].logsumexp(1)  # all weights against the tail alone
            body = self.first[rows] + torch.log1p(-(-rest.clamp_min(0)).exp())
            k[rows], smoothed[rows] = tail.k, torch.logaddexp(body, tail.log_smoothed) - math.log(count)
        found = (self.mean(), self.squared_error().sqrt(), ess, k, smoothed)
        return Estimates(*(each.cpu() for each in found))
