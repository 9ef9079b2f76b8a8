"""Independent scalars without a closed form: log p(x) by quadrature, guides with the moments of the posterior."""

import math
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import biject_to

from .case import Case, drawn, pair_of, reaches, rounded

POINTS, ROUNDS = 4001, 5

PLACED = ("StudentT", "Laplace", "Cauchy", "Logistic")
"""Likelihoods that stand at z: the posterior may stand at x."""

PRIORS = {
    "real": {
        "Normal": lambda p: dist.Normal(p["m"], p["s"]),
        "StudentT": lambda p: dist.StudentT(3.0, p["m"], p["s"]),
        "Cauchy": lambda p: dist.Cauchy(p["m"], p["s"]),
        "Laplace": lambda p: dist.Laplace(p["m"], p["s"]),
        "Gumbel": lambda p: dist.Gumbel(p["m"], p["s"]),
        "Logistic": lambda p: dist.Logistic(p["m"], p["s"]),
    },
    "positive": {
        "LogNormal": lambda p: dist.LogNormal(p["s"].log(), p["c"]),
        "HalfNormal": lambda p: dist.HalfNormal(p["s"]),
        "HalfCauchy": lambda p: dist.HalfCauchy(p["s"]),
        "Exponential": lambda p: dist.Exponential(1 / p["s"]),
        "Gamma": lambda p: dist.Gamma(p["a"], p["a"] / p["s"]),
        "InverseGamma": lambda p: dist.InverseGamma(p["a"], p["a"] * p["s"]),
        "Weibull": lambda p: dist.Weibull(p["s"], p["a"]),
    },
    "unit": {
        "Beta": lambda p: dist.Beta(p["a"], p["a2"]),
        "Uniform": lambda p: dist.Uniform(torch.zeros_like(p["s"]), torch.ones_like(p["s"])),
        "Kumaraswamy": lambda p: dist.Kumaraswamy(p["a"], p["a2"]),
    },
}
"""By support; s is a scale, m a place, a, a2 and c are shapes of about 1, n is a count."""

LIKELIHOODS = {
    "real": {
        "StudentT": lambda z, p: dist.StudentT(3.0, z, p["s1"]),
        "Laplace": lambda z, p: dist.Laplace(z, p["s1"]),
        "Cauchy": lambda z, p: dist.Cauchy(z, p["s1"]),
        "Logistic": lambda z, p: dist.Logistic(z, p["s1"]),
        "square": lambda z, p: dist.Normal(((z - p["m"]) / p["s"]).square(), p["c"]),
        "Poisson": lambda z, p: dist.Poisson((_rate(z, p) + p["n"].log()).exp()),
        "Bernoulli": lambda z, p: dist.Bernoulli(logits=_rate(z, p)),
        "Binomial": lambda z, p: dist.Binomial(p["n"], logits=_rate(z, p)),
        "NegativeBinomial": lambda z, p: dist.NegativeBinomial(p["n"], logits=_rate(z, p)),
        "Geometric": lambda z, p: dist.Geometric(logits=_rate(z, p)),
        "ContinuousBernoulli": lambda z, p: dist.ContinuousBernoulli(logits=_rate(z, p)),
        "LogNormal": lambda z, p: dist.LogNormal(_rate(z, p), p["c"]),
        "Gamma": lambda z, p: dist.Gamma(p["n"], _rate(z, p).exp()),
        "scale": lambda z, p: dist.Normal(0.0, _rate(z, p).exp()),
        "VonMises": lambda z, p: dist.VonMises(_rate(z, p), p["n"]),
    },
    "positive": {
        "Normal": lambda z, p: dist.Normal(z, p["s1"]),
        "Poisson": lambda z, p: dist.Poisson(z / p["s"] * p["n"]),
        "scale": lambda z, p: dist.Normal(0.0, z),
        "Exponential": lambda z, p: dist.Exponential(1 / z),
        "NegativeBinomial": lambda z, p: dist.NegativeBinomial(z / p["s"], probs=p["a2"] / (1 + p["a2"])),
        "Weibull": lambda z, p: dist.Weibull(z, p["a"]),
    },
    "unit": {
        "Binomial": lambda z, p: dist.Binomial(p["n"], z),
        "Bernoulli": lambda z, p: dist.Bernoulli(z),
        "Geometric": lambda z, p: dist.Geometric(z),
        "Normal": lambda z, p: dist.Normal(z, p["c"]),
    },
}


def _rate(z: Tensor, p) -> Tensor:
    return p["c"] * (z - p["m"]) / p["s"]


def about(middle: Tensor, half: Tensor | float, shape: tuple[int, ...]) -> Tensor:
    """Points (POINTS, *shape) within `half` of `middle`, dense about it."""
    t = torch.sinh(12 * torch.linspace(-1, 1, POINTS, dtype=torch.float64)) / math.sinh(12)
    return middle.expand(shape) + torch.as_tensor(half).expand(shape) * t.reshape(-1, *[1] * len(shape))


def grid(log_f: Callable[[Tensor], Tensor], u: Tensor) -> tuple[Tensor, Tensor]:
    """Points (POINTS, *L) that lie where the mass of f is, and the log of f there times the width of a point.

    Args:
        log_f: of u (POINTS, *L).
        u: points to begin with, from the least to the largest.
    """
    at = torch.linspace(0, 1, POINTS, dtype=torch.float64).expand(*u.shape[1:], POINTS).contiguous()
    for _ in range(ROUNDS):
        value, u = log_f(u).nan_to_num(nan=-torch.inf).movedim(0, -1), u.movedim(0, -1)
        f = (value - value.amax(-1, keepdim=True)).exp()
        mass = (f[..., 1:] + f[..., :-1]) * u.diff()
        share = 0.7 * mass / mass.sum(-1, keepdim=True) + 0.3 / mass.shape[-1]
        below = torch.nn.functional.pad(share.cumsum(-1), (1, 0))
        below = (below / below[..., -1:]).contiguous()
        k = (torch.searchsorted(below, at, right=True) - 1).clamp(0, share.shape[-1] - 1)
        low, high = u.gather(-1, k), u.gather(-1, k + 1)
        first, last = below.gather(-1, k), below.gather(-1, k + 1)
        u = (low + (high - low) * ((at - first) / (last - first)).clamp(0, 1)).movedim(-1, 0)
    width = torch.zeros_like(u)
    width[:-1] += u.diff(dim=0) / 2
    width[1:] += u.diff(dim=0) / 2
    return u, log_f(u).nan_to_num(nan=-torch.inf) + width.log()


def scalars(seed: int) -> Case:
    """A prior, a likelihood of its support, and a guide in unconstrained space."""
    draw = drawn("scalars", seed)
    kind = draw.choice(["real", "real", "positive", "unit"])
    prior_name, name = draw.choice(sorted(PRIORS[kind])), draw.choice(sorted(LIKELIHOODS[kind]))
    prior, likelihood = PRIORS[kind][prior_name], LIKELIHOODS[kind][name]
    D, N, dtype = draw.choice([1, 1, 2, 4]), draw.choice([2, 7, 30]), draw.choice([torch.float32, torch.float64])
    scale, away, n = 10 ** draw.uniform(-4, 3), draw.choice([0.0, 1.0, 30.0, 1e3]), 10 ** draw.choice([0, 1, 3, 5, 6])
    numbers = {
        "s": scale,
        "m": away * scale,
        "s1": scale * 10 ** draw.uniform(-1.5, 1),
        "a": 10 ** draw.uniform(-0.5, 1),
        "a2": 10 ** draw.uniform(-0.5, 1),
        "c": 10 ** draw.uniform(-0.7, 0.3),
        "n": float(n),
    }
    own, p = rounded({key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}, dtype)
    z = prior(p).expand([N, D]).sample()
    if prior_name in ("Cauchy", "StudentT", "HalfCauchy") and name in ("Poisson", "scale", "Gamma", "LogNormal"):
        z = prior(p).expand([N, D]).sample() * 0 + p["m"] + p["s"]  # the rate of a far draw is not a number
    x = likelihood(z, p).sample().to(dtype)
    to_z = biject_to(prior(p).support)

    def log_f(u: Tensor) -> Tensor:
        z = to_z(u)
        jacobian = to_z.log_abs_det_jacobian(u, z)
        return prior(p).log_prob(z) + likelihood(z, p).log_prob(x.double()) + jacobian

    if kind == "real":
        u = about(p["m"], 1e5 * p["s"], (N, D))
        if name in PLACED:
            u = torch.cat([u, about(x.double(), 1e5 * p["s1"], (N, D))]).sort(0).values
    else:
        u = about(p["s"].log() if kind == "positive" else 0 * p["s"], 60.0 if kind == "positive" else 36.0, (N, D))
        if kind == "positive" and name in ("Normal", "Weibull"):
            u = torch.cat([u, about(x.double().abs().log(), 60.0, (N, D))]).sort(0).values
    u, log_mass = grid(log_f, u)
    log_p = log_mass.logsumexp(0)
    share = (log_mass - log_p).exp()
    mean = (share * u).sum(0)
    sd = (share * (u - mean).square()).sum(0).sqrt()
    wider, moved, tails = draw.uniform(0.6, 1.8), draw.choice([0.0, 0.2, 1.0]), draw.choice(["Normal", "StudentT"])
    of_guide = {"loc": mean + moved * sd, "sd": wider * sd}
    of_guide = {key: value.to(dtype) for key, value in of_guide.items()}

    def q_of(loc: Tensor, sd: Tensor):
        return dist.Normal(loc, sd) if tails == "Normal" else dist.StudentT(5.0, loc, sd)

    q = q_of(of_guide["loc"].double(), of_guide["sd"].double())
    ratio = log_f(u) - log_p - q.log_prob(u)
    at = torch.multinomial(share.movedim(0, -1).reshape(N * D, -1), 1000, True).T.reshape(1000, N, D)
    log_ratio = ratio.gather(0, at).sum(-1)  # (1000, N), at draws of the posterior
    sound = reaches(log_ratio)
    steps = (1e-5 if dtype is torch.float32 else 1e-13) * (mean.abs() + own["s"].double().abs() * 1e-3)
    sound = sound and bool((sd > 100 * steps).all()) and (n <= 10 or dtype is torch.float64)
    sound = sound and (kind != "unit" or bool((mean.abs() + 4 * sd < 12).all()))

    def model(x, row, p):
        z = pyro.sample("z", prior(p).expand([D]).to_event(1))
        pyro.sample("x", likelihood(z, p).to_event(1), obs=x)

    def guide(x, row, p):
        base = q_of(p["loc"][row], p["sd"][row])
        transform = biject_to(prior(own).support)
        q = base if kind == "real" else dist.TransformedDistribution(base, [transform])
        pyro.sample("z", q.to_event(1))

    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    told = f"{prior_name} {name} guide {tails} {D=} {N=} {dtype} {wider=:.2f} {moved=} at={away:g} {p}"
    widen, batch = kind == "real" and tails == "Normal", [x, torch.arange(N)]
    return Case(pair, batch, log_p.sum(-1), sound, told, log_ratio=log_ratio, anneal=True, widen=widen)
