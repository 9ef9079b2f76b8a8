"""Conjugate pairs of other supports: simplexes, angles, scales, bounds; counts may be large."""

import math

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .case import Case, drawn, normal, pair_of, rounded


def simplex(seed: int) -> Case:
    """Dirichlet, with counts as a vector or one by one."""
    draw = drawn("simplex", seed)
    V, N, dtype = draw.choice([2, 3, 8]), draw.choice([2, 7, 30]), draw.choice([torch.float32, torch.float64])
    total, one_by_one = int(10 ** draw.choice([0, 1, 2, 4, 6])), draw.random() < 0.3
    total = min(total, 100) if one_by_one else total
    own, p = rounded({"a": 10 ** draw.uniform(-1.5, 1.5) * (0.5 * normal(V)).exp()}, dtype)
    theta = dist.Dirichlet(p["a"]).sample([N])
    count = dist.Multinomial(total, theta).sample() if not one_by_one else None
    x = dist.Categorical(theta).sample([total]).T if one_by_one else count.to(dtype)
    seen = torch.nn.functional.one_hot(x, V).sum(1).double() if one_by_one else count
    a = p["a"].sum()
    log_p = torch.lgamma(a) - torch.lgamma(a + total) + (torch.lgamma(p["a"] + seen) - torch.lgamma(p["a"])).sum(-1)
    if not one_by_one:
        log_p = log_p + math.lgamma(total + 1) - torch.lgamma(seen + 1).sum(-1)
    wider, moved = draw.uniform(0.6, 1.6), draw.choice([0.0, 0.0, 0.5])
    exactly = p["a"] + seen
    of_guide = {"a": ((exactly + moved * exactly.sqrt()) / wider**2).to(dtype)}

    def model(x, row, p):
        z = pyro.sample("z", dist.Dirichlet(p["a"]))
        if one_by_one:
            pyro.sample("x", dist.Categorical(z.unsqueeze(-2)).expand([*z.shape[:-1], total]).to_event(1), obs=x)
        else:
            pyro.sample("x", dist.Multinomial(total, z, validate_args=False), obs=x)

    def guide(x, row, p):
        pyro.sample("z", dist.Dirichlet(p["a"][row]))

    sound = 1.0 <= wider <= 1.25 and not moved and float(own["a"].min()) >= 1.2 and V <= 3
    sound = sound and (dtype is torch.float64 or total <= 100)
    about = f"Dirichlet {V=} {N=} {dtype} {total=} {one_by_one=} {wider=:.2f} {moved=} a={own['a'].min():.3f}"
    q, post = dist.Dirichlet(of_guide["a"].double()), dist.Dirichlet(exactly)
    elbo = log_p - torch.distributions.kl_divergence(q, post)
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    return Case(pair, [x, torch.arange(N)], log_p, sound, about, elbo=elbo, anneal=float(own["a"].min()) > 1)


def angles(seed: int) -> Case:
    """von Mises about a von Mises: x ~ VM(z, k1), z ~ VM(m, k0)."""
    draw = drawn("angles", seed)
    N, D, dtype = draw.choice([2, 7, 30]), draw.choice([1, 3]), draw.choice([torch.float32, torch.float64])
    values = {"m": draw.uniform(-3, 3), "k0": 10 ** draw.uniform(-1, 4), "k1": 10 ** draw.uniform(-1, 4)}
    own, p = rounded({name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}, dtype)
    z = dist.VonMises(p["m"], p["k0"]).sample([N, D])
    x = dist.VonMises(z, p["k1"]).sample().to(dtype)
    across = p["k0"] * p["m"].sin() + p["k1"] * x.double().sin()
    along = p["k0"] * p["m"].cos() + p["k1"] * x.double().cos()
    both = (across.square() + along.square()).sqrt()

    def log_i0(k: Tensor) -> Tensor:
        return torch.special.i0e(k).log() + k

    log_p = (log_i0(both) - log_i0(p["k0"]) - log_i0(p["k1"]) - math.log(2 * math.pi)).sum(-1)
    wider = draw.uniform(0.6, 1.6)
    of_guide = {"loc": torch.atan2(across, along).to(dtype), "k": (both / wider**2).to(dtype)}

    def model(x, row, p):
        z = pyro.sample("z", dist.VonMises(p["m"], p["k0"]).expand([D]).to_event(1))
        pyro.sample("x", dist.VonMises(z, p["k1"]).to_event(1), obs=x)

    def guide(x, row, p):
        pyro.sample("z", dist.VonMises(p["loc"][row], p["k"][row]).to_event(1))

    sound = 1.0 <= wider <= 1.3 and (dtype is torch.float64 or max(values["k0"], values["k1"]) < 100)
    about = f"VonMises {D=} {N=} {dtype} {wider=:.2f} {values}"
    return Case(pair_of(own, model, guide, of_guide, ("x", "row")), [x, torch.arange(N)], log_p, sound, about)


def positive(seed: int) -> Case:
    """Scales and bounds: InverseGamma and Normal, Gamma and Normal by precision, Pareto and Uniform; D of them, each
    seen n times."""
    draw = drawn("positive", seed)
    name = draw.choice(["variance", "precision", "bound", "rate", "weibull", "geometric"])
    D, N, n = draw.choice([1, 2, 4]), draw.choice([2, 7, 30]), draw.choice([1, 3, 30, 1000])
    dtype, scale = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3)
    a, b = 10 ** draw.uniform(-0.7, 1), 1.0
    number = {
        "a": a,
        "b": {"variance": scale**2, "bound": scale, "geometric": 10 ** draw.uniform(-0.5, 1)}.get(name, b),
    }
    own, p = rounded({key: torch.tensor(value, dtype=torch.float64) for key, value in number.items()}, dtype)
    lg, a, b, shape = torch.lgamma, p["a"], p["b"], (N, D)
    wider = draw.uniform(0.6, 1.6)
    if name == "bound":
        prior, likelihood = (lambda p: dist.Pareto(p["b"], p["a"])), (lambda z, p: dist.Uniform(torch.zeros_like(z), z))
    elif name == "geometric":
        prior, likelihood = (lambda p: dist.Beta(p["a"], p["b"])), (lambda z, p: dist.Geometric(z))
    elif name == "variance":
        prior, likelihood = (lambda p: dist.InverseGamma(p["a"], p["b"])), (lambda z, p: dist.Normal(0.0, z.sqrt()))
    elif name == "precision":
        prior, likelihood = (lambda p: dist.Gamma(p["a"], p["b"])), (lambda z, p: dist.Normal(0.0, z.rsqrt()))
    elif name == "rate":
        prior, likelihood = (lambda p: dist.Gamma(p["a"], p["b"])), (lambda z, p: dist.Poisson(z))
    else:
        prior, likelihood = (lambda p: dist.Gamma(p["a"], p["b"])), (lambda z, p: dist.Weibull(z.pow(-0.5), 2.0))
    tiny = 1e-30 if dtype is torch.float32 else 1e-200
    z = prior(p).expand(shape).sample().clamp_min(1e-12 if name == "geometric" else tiny)
    x = likelihood(z.unsqueeze(-1), p).expand([*shape, n]).sample().to(dtype)  # (N, D, n)
    seen = x.double()
    if name == "bound":
        top, ends = torch.maximum(seen.amax(-1), b), a + n
        log_p = a.log() + a * b.log() - ends.log() - ends * top.log()
        of_q = {"low": top, "a": ends / wider**2}
        q_of = lambda p, row: dist.Pareto(p["low"][row], p["a"])  # noqa: E731
    elif name == "geometric":
        A, B = a + n, b + seen.sum(-1)
        log_p = lg(A) + lg(B) - lg(A + B) - lg(a) - lg(b) + lg(a + b)
        of_q = {"a": A / wider**2, "b": B / wider**2}
        q_of = lambda p, row: dist.Beta(p["a"], p["b"][row])  # noqa: E731
    else:
        more, total = {
            "variance": (n / 2, seen.square().sum(-1) / 2),
            "precision": (n / 2, seen.square().sum(-1) / 2),
            "rate": (seen.sum(-1), torch.full(shape, float(n), dtype=torch.float64)),
            "weibull": (float(n), seen.square().sum(-1)),
        }[name]
        A, B = (a + more) * torch.ones(shape, dtype=torch.float64), b + total
        log_p = lg(A) - lg(a) + a * b.log() - A * B.log()
        if name in ("variance", "precision"):
            log_p = log_p - n / 2 * math.log(2 * math.pi)
        elif name == "rate":
            log_p = log_p - lg(seen + 1).sum(-1)
        else:
            log_p = log_p + (2 * seen).log().sum(-1)
        of_q = {"a": A / wider**2, "b": B / wider**2}
        family = dist.InverseGamma if name == "variance" else dist.Gamma
        q_of = lambda p, row: family(p["a"][row], p["b"][row])  # noqa: E731
    of_guide = {key: value.to(dtype) for key, value in of_q.items()}

    def model(x, row, p):
        z = pyro.sample("z", prior(p).expand([D]).to_event(1))
        pyro.sample("x", likelihood(z.unsqueeze(-1), p).expand([*z.shape, n]).to_event(2), obs=x)

    def guide(x, row, p):
        q = q_of(p, row)
        pyro.sample("z", q.expand([len(x), D]).to_event(1) if name in ("bound", "geometric") else q.to_event(1))

    # The two Beta and Gamma of few counts stand at a border.
    sound = 1.0 <= wider <= 1.2 and D <= 2 and (dtype is torch.float64 or n <= 3)
    sound = sound and number["a"] >= 1 and (name != "geometric" or number["b"] >= 1)
    sound = sound and (name != "rate" or bool((seen.sum(-1) >= 1).all())) and not (name == "bound" and n > 3)
    about = f"{name} {D=} {N=} {n=} {dtype} {wider=:.2f} {scale=:.1e} {number}"
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    return Case(pair, [x, torch.arange(N)], log_p.sum(-1), sound, about, anneal=name != "bound")
