"""Mixtures as priors and as likelihoods: posteriors of several modes, in closed form."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from .case import Case, drawn, normal, pair_of, reaches, rounded


def _components(logits: Tensor, loc: Tensor, scale: Tensor, s: Tensor, x: Tensor):
    """Of z ~ sum_k pi_k N(loc_k, diag scale_k^2) and x ~ N(z, s^2): (N, C) log p(x, k), and p(z | x, k) by its
    (N, C, D) mean and (C, D) scale."""
    marginal = dist.Normal(loc, (scale.square() + s.square()).sqrt()).to_event(1)
    joint = logits.log_softmax(-1) + marginal.log_prob(x.unsqueeze(-2))
    variance = 1 / (scale.pow(-2) + s.pow(-2))
    mean = variance * (loc / scale.square() + x.unsqueeze(-2) / s.square())
    return joint, mean, variance.sqrt()


def mixture_prior(seed: int) -> Case:
    """z from a mixture of Gaussians, x ~ N(z, s^2): the posterior is a mixture, and the guide one of its components'
    moments, or a Gaussian over all of them."""
    draw = drawn("mixture_prior", seed)
    C, D, N = draw.choice([2, 3, 5]), draw.choice([1, 2, 4]), draw.choice([2, 7, 30])
    dtype, scale, apart = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3), draw.uniform(0, 8)
    values = {
        "logits": normal(C),
        "loc": scale * apart * normal(C, D),
        "scale": scale * (0.5 * normal(C, D)).exp(),
        "s": torch.tensor(scale * 10 ** draw.uniform(-0.5, 1.5), dtype=torch.float64),
    }
    own, p = rounded(values, dtype)
    k = torch.distributions.Categorical(logits=p["logits"]).sample([N])
    x = (p["loc"][k] + p["scale"][k] * normal(N, D) + p["s"] * normal(N, D)).to(dtype)
    joint, mean, sd = _components(p["logits"], p["loc"], p["scale"], p["s"], x.double())
    log_p, weights = joint.logsumexp(-1), joint.log_softmax(-1)
    wider, form = draw.uniform(0.6, 1.6), draw.choice(["mixture", "mixture", "MixtureOfDiagNormals", "Gaussian"])
    moved, flatter = draw.choice([0.0, 0.3]), draw.choice([1.0, 0.5])
    guide_weights = (flatter * weights).log_softmax(-1)
    share = weights.exp().unsqueeze(-1)
    middle = (share * mean).sum(1)
    spread = (share * (sd.square() + (mean - middle.unsqueeze(1)).square())).sum(1).sqrt()
    of_guide = {
        "logits": guide_weights,
        "loc": mean + moved * sd,
        "sd": wider * sd.expand_as(mean),
        "middle": middle,
        "spread": wider * spread,
    }
    of_guide = {name: value.to(dtype) for name, value in of_guide.items()}

    def q_of(p, row):
        if form == "Gaussian":
            return dist.Normal(p["middle"][row], p["spread"][row]).to_event(1)
        if form == "mixture":
            each = dist.Normal(p["loc"][row], p["sd"][row]).to_event(1)
            return dist.MixtureSameFamily(dist.Categorical(logits=p["logits"][row]), each)
        return dist.MixtureOfDiagNormals(p["loc"][row], p["sd"][row], p["logits"][row])

    def model(x, row, p):
        z = pyro.sample("z", dist.MixtureOfDiagNormals(p["loc"], p["scale"], p["logits"]))
        pyro.sample("x", dist.Normal(z, p["s"]).to_event(1), obs=x)

    def guide(x, row, p):
        pyro.sample("z", q_of(p, row))

    exactly = dist.MixtureSameFamily(
        dist.Categorical(logits=weights), dist.Normal(mean, sd.expand_as(mean)).to_event(1)
    )
    z = exactly.sample([2000])
    q = q_of({name: value.double() for name, value in of_guide.items()}, torch.arange(N))
    log_ratio = exactly.log_prob(z) - q.log_prob(z)
    resolved = dtype is torch.float64 or apart < 3
    about = f"{form} {C=} {D=} {N=} {dtype} {scale=:.1e} {apart=:.1f} {wider=:.2f} {moved=} {flatter=} s={own['s']:.1e}"
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    sound, batch = resolved and reaches(log_ratio), [x, torch.arange(N)]
    return Case(pair, batch, log_p, sound, about, log_ratio=log_ratio, anneal=apart < 2)


def mixture_likelihood(seed: int) -> Case:
    """x from a mixture of Gaussians about z, in independent dims."""
    draw = drawn("mixture_likelihood", seed)
    C, D, N = draw.choice([2, 3]), draw.choice([1, 2, 4]), draw.choice([2, 7, 30])
    dtype, scale, apart = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3), draw.uniform(0, 6)
    values = {
        "logits": normal(C),
        "shift": scale * apart * normal(C),
        "s0": torch.tensor(scale, dtype=torch.float64),
        "s": torch.tensor(scale * 10 ** draw.uniform(-1, 1), dtype=torch.float64),
    }
    own, p = rounded(values, dtype)

    def likelihood(z, p):
        mean = z.unsqueeze(-1) + p["shift"]
        each = dist.Normal(mean, p["s"].expand_as(mean))
        return dist.MixtureSameFamily(dist.Categorical(logits=p["logits"].expand_as(mean)), each)

    x = likelihood(p["s0"] * normal(N, D), p).sample().to(dtype)
    left = x.double().unsqueeze(-1) - p["shift"]  # (N, D, C), of each component
    variance = p["s0"].square() + p["s"].square()
    joint = p["logits"].log_softmax(-1) + dist.Normal(0.0, variance.sqrt()).log_prob(left)
    log_p, weights = joint.logsumexp(-1).sum(-1), joint.log_softmax(-1)
    mean, sd = left * p["s0"].square() / variance, (p["s0"] * p["s"] / variance.sqrt()).expand_as(left)
    wider, form = draw.uniform(0.6, 1.6), draw.choice(["mixture", "Gaussian"])
    share = weights.exp()
    middle = (share * mean).sum(-1)
    spread = (share * (sd.square() + (mean - middle.unsqueeze(-1)).square())).sum(-1).sqrt()
    of_guide = {"logits": weights, "loc": mean, "sd": wider * sd, "middle": middle, "spread": wider * spread}
    of_guide = {name: value.to(dtype) for name, value in of_guide.items()}

    def q_of(p, row):
        if form == "Gaussian":
            return dist.Normal(p["middle"][row], p["spread"][row])
        each = dist.Normal(p["loc"][row], p["sd"][row])
        return dist.MixtureSameFamily(dist.Categorical(logits=p["logits"][row]), each)

    def model(x, row, p):
        z = pyro.sample("z", dist.Normal(x.new_zeros(D), p["s0"]).to_event(1))
        pyro.sample("x", likelihood(z, p).to_event(1), obs=x)

    def guide(x, row, p):
        pyro.sample("z", q_of(p, row).to_event(1))

    exactly = dist.MixtureSameFamily(dist.Categorical(logits=weights), dist.Normal(mean, sd))
    z = exactly.sample([2000])
    q = q_of({name: value.double() for name, value in of_guide.items()}, torch.arange(N))
    log_ratio = (exactly.log_prob(z) - q.log_prob(z)).sum(-1)
    about = f"{form} {C=} {D=} {N=} {dtype} {scale=:.1e} {apart=:.1f} {wider=:.2f} s={own['s']:.1e}"
    resolved = dtype is torch.float64 or (apart < 3 and float(own["s"]) > 0.3 * scale)
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    sound, batch = resolved and reaches(log_ratio), [x, torch.arange(N)]
    return Case(pair, batch, log_p, sound, about, log_ratio=log_ratio, anneal=apart < 1)
