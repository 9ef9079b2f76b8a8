"""Five conjugate families in independent dims, with a guide that is the posterior made wider or narrower and moved."""

import dataclasses
import random
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from .case import Case, pair_of


@dataclasses.dataclass(frozen=True)
class Conjugate:
    """p(z), p(x | z) and p(z | x) of independent dims, and log p(x).

    Attributes:
        prior: of parameters.
        likelihood: of z and parameters.
        posterior: of x, parameters, the factor of its width and how far it is moved, in its own widths.
        log_p: of x and parameters, for each dim.
    """

    prior: Callable[..., dist.TorchDistribution]
    likelihood: Callable[..., dist.TorchDistribution]
    posterior: Callable[..., dist.TorchDistribution]
    log_p: Callable[..., Tensor]


def _normal(x, p, wider, moved):
    variance = 1 / (1 / p["s0"] ** 2 + 1 / p["s1"] ** 2)
    mean = p["m"] + variance / p["s1"] ** 2 * (x - p["m"])
    return mean + moved * variance.sqrt(), wider * variance.sqrt()


def _gamma(a, b, wider, moved):
    a = a * (1 + moved * a.rsqrt()).clamp_min(0.1)
    return dist.Gamma(a / wider**2, b / wider**2)


FAMILIES = {
    "normal": Conjugate(
        lambda p: dist.Normal(p["m"], p["s0"]),
        lambda z, p: dist.Normal(z, p["s1"]),
        lambda x, p, wider, moved: dist.Normal(*_normal(x, p, wider, moved)),
        lambda x, p: dist.Normal(p["m"], (p["s0"] ** 2 + p["s1"] ** 2).sqrt()).log_prob(x),
    ),
    "log-normal": Conjugate(
        lambda p: dist.LogNormal(p["m"] / p["s0"] / 100, p["s0"].clamp(0.1, 2)),
        lambda z, p: dist.LogNormal(z.log(), p["s1"].clamp(0.1, 2)),
        lambda x, p, wider, moved: dist.LogNormal(
            *_normal(
                x.log(),
                {"m": p["m"] / p["s0"] / 100, "s0": p["s0"].clamp(0.1, 2), "s1": p["s1"].clamp(0.1, 2)},
                wider,
                moved,
            )
        ),
        lambda x, p: dist.LogNormal(
            p["m"] / p["s0"] / 100, (p["s0"].clamp(0.1, 2) ** 2 + p["s1"].clamp(0.1, 2) ** 2).sqrt()
        ).log_prob(x),
    ),
    "gamma-poisson": Conjugate(
        lambda p: dist.Gamma(p["a"], p["b"]),
        lambda z, p: dist.Poisson(z),
        lambda x, p, wider, moved: _gamma(p["a"] + x, p["b"] + 1, wider, moved),
        lambda x, p: (
            torch.lgamma(p["a"] + x)
            - torch.lgamma(p["a"])
            - torch.lgamma(x + 1)
            - p["a"] * torch.log1p(1 / p["b"])
            - x * torch.log1p(p["b"])
        ),
    ),
    "gamma-exponential": Conjugate(
        lambda p: dist.Gamma(p["a"], p["b"]),
        lambda z, p: dist.Exponential(z),
        lambda x, p, wider, moved: _gamma(p["a"] + 1, p["b"] + x, wider, moved),
        lambda x, p: p["a"].log() + p["a"] * p["b"].log() - (p["a"] + 1) * (p["b"] + x).log(),
    ),
    "beta-binomial": Conjugate(
        lambda p: dist.Beta(p["a"], p["b"]),
        lambda z, p: dist.Binomial(20, z),
        lambda x, p, wider, moved: dist.Beta((p["a"] + x) / wider**2, (p["b"] + 20 - x) / wider**2),
        lambda x, p: dist.BetaBinomial(p["a"], p["b"], 20).log_prob(x),
    ),
}


def conjugate(seed: int) -> Case:
    """Of random scale, location, dims, number of data and precision."""
    draw = random.Random(seed)
    name = draw.choice(sorted(FAMILIES))
    family, D, N = FAMILIES[name], draw.choice([1, 1, 2, 5, 12]), draw.choice([2, 7, 30])
    single, wider, moved = draw.random() < 0.6, draw.uniform(0.6, 2.0), draw.choice([0.0, 0.2, 1.0])
    scale, away = 10 ** draw.uniform(-4, 3), draw.choice([0.0, 1.0, 1e3, 1e6])
    exact = {
        "m": torch.tensor(away * scale, dtype=torch.float64),
        "s0": torch.tensor(scale, dtype=torch.float64),
        "s1": torch.tensor(scale * 10 ** draw.uniform(-1, 1), dtype=torch.float64),
        "a": torch.tensor(10 ** draw.uniform(0, 2), dtype=torch.float64),
        "b": torch.tensor(10 ** draw.uniform(-1, 1), dtype=torch.float64),
    }
    dtype = torch.float32 if single else torch.float64
    own = {key: value.to(dtype) for key, value in exact.items()}
    known = {key: value.double() for key, value in own.items()}

    def model(x, p):
        z = pyro.sample("z", family.prior(p).expand([D]).to_event(1))
        pyro.sample("x", family.likelihood(z, p).to_event(1), obs=x)

    def guide(x, p):
        pyro.sample("z", family.posterior(x, p, wider, moved).to_event(1))

    torch.manual_seed(seed)
    x = family.likelihood(family.prior(known).expand([N, D]).sample(), known).sample().to(dtype)
    covers = 0.95 <= wider <= 1.4 and moved <= 0.2 and D <= 5
    resolved = (not single and away <= 1e3) or away <= 1
    if name == "beta-binomial":  # else the posterior stands at a border
        resolved = resolved and float(exact["b"]) >= 1
    exactly, q = (family.posterior(x.double(), known, *how) for how in ((1.0, 0.0), (wider, moved)))
    log_p = family.log_p(x.double(), known).sum(-1)
    return Case(
        pair_of(own, model, guide),
        [x],
        log_p,
        covers and resolved,
        f"{name} D={D} N={N} {dtype} {wider=:.2f} {moved=} scale={scale:.1e} at={away:g} {known}",
        elbo=log_p - kl_divergence(q, exactly).sum(-1),
        anneal=True,
        widen=name == "normal",
        samples=1000,
    )
