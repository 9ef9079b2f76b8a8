"""Pareto-smoothed importance sampling: the shape of the tail of the weights, and weights whose largest are smoothed.

Aki Vehtari, Daniel Simpson, Andrew Gelman, Yuling Yao, Jonah Gabry: Pareto Smoothed Importance Sampling. JMLR 2024.
Jin Zhang, Michael Stephens: A New and Efficient Estimation Method for the Generalized Pareto Distribution.
Technometrics 2009.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

FEWEST = 5
"""Largest weights below which a tail is not fitted."""

EQUAL = 1e-4
"""Weights that differ by less of the largest are equal: what is left is rounding, and has no tail."""

AT_ONCE = 2**24
"""Numbers of the largest tensor of a fit."""


class Tail(NamedTuple):
    """The generalized Pareto distribution fitted to the largest weights of each datum, in units of its largest.

    Attributes:
        k: (N,) shape: the number of moments that exist is 1 / k. 0 where the largest weights are all equal; infinite
            where fewer than `FEWEST` lie above the threshold, so that nothing can be fitted.
        log_smoothed: (N,) log of the sum of the largest weights once they are smoothed, nats.
    """

    k: Tensor
    log_smoothed: Tensor


def tail_length(samples: int) -> int:
    """How many of K weights are the tail: the smaller of a fifth and 3 sqrt(K)."""
    return min(samples // 5, math.ceil(3 * math.sqrt(samples)))


def threshold(samples: int) -> float:
    """The k above which an estimate from K samples is not to be trusted (Vehtari et al. 2024, section 3.2.4)."""
    return min(1 - 1 / math.log10(samples), 0.7) if samples > 10 else 0.0


def unmet(k: Tensor, drawn: Tensor) -> Tensor:
    """Nats by which estimates from K weights lie too low, about: what no draw has met of log-normal weights.

    Of weights exp(s e), e ~ N(0, 1), the mean is made by e ~ N(s, 1), and the largest of K draws is about the quantile
    1 - 1 / K. Their tail looks like one of shape k = s / h, with h the hazard rate of e where the tail begins. The
    shape of worse weights grows less than s, so it is a lower bound.

    Args:
        k: (N,) shapes; of an infinite one, where a handful of weights lie above all others, 1 nat is taken.
        drawn: (N,) K, above 1.
    """
    e = torch.distributions.Normal(0.0, 1.0)
    tail = torch.tensor([tail_length(K) / K for K in drawn.tolist()], dtype=torch.float64)
    hazard = e.log_prob(e.icdf(1 - tail)).exp() / tail
    missing = -torch.special.log_ndtr(e.icdf(1 - 1 / drawn.double()) - hazard * k.double())
    return torch.where(k.isposinf(), torch.ones_like(missing), missing)


def fit(largest: Tensor) -> Tail:
    """Fits the tails of log weights.

    Args:
        largest: (N, M + 1) the largest log weights of each datum, from the largest down; the last one is the threshold
            above which the M others lie, or with which they are tied: weights of discrete latents, or weights of 0.
            M is at least `FEWEST`.
    """
    threshold, tail = largest[:, -1:], largest[:, :-1]
    k, smoothed = torch.full_like(largest[:, 0], torch.inf), tail.logsumexp(1)
    k[(threshold - largest[:, :1])[:, 0].expm1() >= -EQUAL] = 0.0
    above = (tail > threshold).sum(1)
    for M in above.unique().tolist():
        if M < FEWEST:
            continue
        found = (above == M).nonzero().flatten()
        tied = threshold[found, 0] + torch.full_like(k[found], tail.shape[1] - M).log()
        for rows in found.split(max(1, AT_ONCE // (M * (30 + int(math.sqrt(M)))))):
            fitted = _fit(torch.cat([tail[rows, :M], threshold[rows]], 1))
            k[rows], smoothed[rows] = fitted
        smoothed[found] = torch.logaddexp(smoothed[found], tied)
    return Tail(k, smoothed)


def _fit(largest: Tensor) -> Tail:
    top, M = largest[:, :1], largest.shape[1] - 1
    weights = (largest - top).exp()
    floor = weights[:, -1:]
    exceeding = (weights[:, :-1] - floor).flip(1)  # (N, M), the smallest first
    tiny = torch.finfo(largest.dtype).eps
    flat = exceeding[:, -1] <= EQUAL
    x = torch.where(flat[:, None], torch.ones_like(exceeding), exceeding.clamp_min(tiny**2))

    # The posterior mean of b = k / sigma over a grid, then k given b.
    m = 30 + int(math.sqrt(M))
    j = torch.arange(1, m + 1, dtype=x.dtype, device=x.device)
    quartile = x[:, int(M / 4 + 0.5) - 1, None]
    b = 1 / x[:, -1:] + (1 - (m / (j - 0.5)).sqrt()) / (3 * quartile)  # (N, m)
    b = torch.where(b.abs() < tiny, torch.full_like(b, tiny), b)
    shape = torch.log1p(-b[:, :, None] * x[:, None, :]).mean(-1)
    shape = torch.where(shape.abs() < tiny, torch.full_like(shape, -tiny), shape)
    score = M * ((-b / shape).log() - shape - 1)
    b = (b * score.nan_to_num(nan=-torch.inf).softmax(-1)).sum(-1, keepdim=True)
    k = torch.log1p(-b * x).mean(-1)
    sigma = -k / b[:, 0]
    # A weak prior at k = 0.5, worth ten weights, steadies short tails.
    k = (M * k + 10 * 0.5) / (M + 10)

    p = (torch.arange(M, dtype=x.dtype, device=x.device) + 0.5) / M
    safe = torch.where(k.abs() < 1e-8, torch.full_like(k, 1e-8), k)[:, None]
    expected = sigma[:, None] * torch.expm1(-safe * torch.log1p(-p)) / safe
    smoothed = (floor + expected).clamp_max(1.0).sum(-1)
    smoothed = torch.where(flat, weights[:, :-1].sum(-1), smoothed)
    return Tail(torch.where(flat, torch.zeros_like(k), k), smoothed.log() + top[:, 0])
