"""Discrete latents, drawn or summed out of the ELBO: log p(x) is a sum over their values."""

import math
from collections.abc import Sequence
from typing import ClassVar

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from .case import Case, drawn, normal, pair_of, rounded

PARALLEL = {"enumerate": "parallel"}


def _states(draw, exactly: Tensor) -> tuple[Tensor, float, float]:
    """The probabilities of a guide from the (N, C) log-probabilities of the posterior: sharper or flatter, with some
    mass on every state."""
    power, least = draw.choice([1.0, 0.7, 0.4, 1.5]), draw.choice([0.0, 0.05, 0.3])
    q = (power * exactly).softmax(-1)
    return (1 - least) * q + least / q.shape[-1], power, least


def _sound(share: Tensor, q: Tensor) -> bool:
    """Whether states of p(c | x) are drawn often enough: the mean weight and the largest are small."""
    weight = torch.where(share > 1e-6, share / q, 0.0)
    return bool((weight < 20).all() and ((share * weight).sum(-1) < 3).all())


def _elbo(joint: Tensor, q: Tensor) -> Tensor:
    return torch.where(q > 0, q * (joint - q.clamp_min(1e-300).log()), 0.0).sum(-1)


def classes(seed: int) -> Case:
    """c of C classes, x ~ N(loc_c, s^2) in D dims or Bernoulli; enumerated or not, one-hot or not."""
    draw = drawn("classes", seed)
    C, D, N = draw.choice([2, 3, 10]), draw.choice([1, 3, 8]), draw.choice([2, 7, 30])
    dtype, form = draw.choice([torch.float32, torch.float64]), draw.choice(["index", "index", "one-hot"])
    binary, scale = draw.random() < 0.4, 10 ** draw.uniform(-4, 3)
    enumerated = form == "index" and draw.random() < 0.5
    size = 1.0 if binary else scale
    values = {
        "logits": normal(C),
        "loc": size * draw.uniform(0.1, 3) * normal(C, D),
        "s": torch.tensor(scale, dtype=torch.float64),
    }
    own, p = rounded(values, dtype)

    def likelihood(loc, p):
        return dist.Bernoulli(logits=loc) if binary else dist.Normal(loc, p["s"])

    k = torch.distributions.Categorical(logits=p["logits"]).sample([N])
    x = likelihood(p["loc"][k], p).sample().to(dtype)
    each = likelihood(p["loc"], p).to_event(1).log_prob(x.double().unsqueeze(1))  # (N, C)
    joint = p["logits"].log_softmax(-1) + each
    log_p, share = joint.logsumexp(-1), joint.softmax(-1)
    q, power, least = _states(draw, joint.log_softmax(-1))
    of_guide = {"probs": q.to(dtype)}

    def model(x, row, p):
        if form == "one-hot":
            loc = pyro.sample("c", dist.OneHotCategorical(logits=p["logits"])) @ p["loc"]
        else:
            loc = p["loc"][pyro.sample("c", dist.Categorical(logits=p["logits"]))]
        pyro.sample("x", likelihood(loc, p).to_event(1), obs=x)

    def guide(x, row, p):
        of_c = dist.OneHotCategorical if form == "one-hot" else dist.Categorical
        pyro.sample("c", of_c(p["probs"][row]), infer=PARALLEL if enumerated else {})

    kept = of_guide["probs"].double()
    kept = kept / kept.sum(-1, keepdim=True)
    about = f"{form} {enumerated=} {C=} {D=} {N=} {dtype} {binary=} {scale=:.1e} {power=} {least=}"
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    # A state that the guide gives next to nothing may come in no draw.
    rare = bool(((share > 0.01) & (kept * 1000 < 10)).any())
    blind = "a state of the posterior that the guide seldom draws" if rare else ""
    return Case(
        pair,
        [x, torch.arange(N)],
        log_p,
        _sound(share, kept) and not rare,
        about,
        elbo=_elbo(joint, kept),
        blind=blind,
        samples=1000,
    )


def bits(seed: int) -> Case:
    """B latent bits, x ~ N(W b, s^2): a sum over 2^B states, a guide of independent bits."""
    draw = drawn("bits", seed)
    B, D, N = draw.choice([1, 3, 6]), draw.choice([1, 4]), draw.choice([2, 7, 30])
    dtype, scale = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3)
    values = {
        "logits": normal(B),
        "W": scale * normal(B, D),
        "s": torch.tensor(scale * 10 ** draw.uniform(-0.3, 1), dtype=torch.float64),
    }
    own, p = rounded(values, dtype)
    states = torch.cartesian_prod(*[torch.arange(2.0, dtype=torch.float64)] * B).reshape(-1, B)
    prior = dist.Bernoulli(logits=p["logits"]).to_event(1)
    x = (prior.sample([N]) @ p["W"] + p["s"] * normal(N, D)).to(dtype)
    each = dist.Normal(states @ p["W"], p["s"]).to_event(1).log_prob(x.double().unsqueeze(1))
    joint = prior.log_prob(states) + each  # (N, 2^B)
    share = joint.softmax(-1)
    flat = draw.choice([0.0, 0.05, 0.2])
    probs = ((1 - flat) * (share @ states) + flat / 2).clamp(1e-3, 1 - 1e-3).to(dtype)
    q = dist.Bernoulli(probs.double()).to_event(1)
    of_states = q.log_prob(states.unsqueeze(1)).T.exp()

    def model(x, row, p):
        b = pyro.sample("b", dist.Bernoulli(logits=p["logits"]).to_event(1))
        pyro.sample("x", dist.Normal(b @ p["W"], p["s"]).to_event(1), obs=x)

    def guide(x, row, p):
        pyro.sample("b", dist.Bernoulli(p["probs"][row]).to_event(1))

    rare = bool(((share > 0.01) & (of_states * 1000 < 10)).any())
    return Case(
        pair_of(own, model, guide, {"probs": probs}, ("x", "row")),
        [x, torch.arange(N)],
        joint.logsumexp(-1),
        _sound(share, of_states) and not rare,
        f"{B=} {D=} {N=} {dtype} {scale=:.1e} {flat=} s={own['s']:.1e}",
        elbo=_elbo(joint, of_states),
        blind="a state of the posterior that the guide seldom draws" if rare else "",
        samples=1000,
    )


class Shifted(dist.TorchDistribution):
    """A Poisson count beside `least`."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Tensor, least: Tensor) -> None:
        self.rate, self.least = torch.broadcast_tensors(rate, least)
        super().__init__(self.rate.shape, validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> "Shifted":
        return Shifted(self.rate.expand(batch_shape), self.least.expand(batch_shape))

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return dist.Poisson(self.rate).sample(sample_shape) + self.least

    def log_prob(self, value: Tensor) -> Tensor:
        return dist.Poisson(self.rate).log_prob((value - self.least).clamp_min(0))


def counts(seed: int) -> Case:
    """A latent count, x ~ N(z, s^2) or Binomial(z): a sum over counts; a Poisson or NegativeBinomial guide."""
    draw = drawn("counts", seed)
    N, dtype = draw.choice([2, 7, 30]), draw.choice([torch.float32, torch.float64])
    rate, thinned = 10 ** draw.uniform(-1, 4), draw.random() < 0.5
    values = {"rate": torch.tensor(rate), "s": torch.tensor(10 ** draw.uniform(-0.5, 2.5)), "keep": torch.tensor(0.3)}
    own, p = rounded({name: value.double() for name, value in values.items()}, dtype)
    prior = dist.Poisson(p["rate"])
    z = prior.sample([N])
    x = (dist.Binomial(z, p["keep"]).sample() if thinned else z + p["s"] * normal(N)).to(dtype)
    all_z = torch.arange(float(rate + 20 * rate**0.5 + 60), dtype=torch.float64)

    def likelihood(z, p):
        return dist.Binomial(z, p["keep"]) if thinned else dist.Normal(z, p["s"])

    each = likelihood(all_z, p).log_prob(x.double().unsqueeze(-1))
    each = torch.where(all_z >= x.double().unsqueeze(-1), each, -torch.inf) if thinned else each
    joint = prior.log_prob(all_z) + each
    share = joint.softmax(-1)
    mean = (share * all_z).sum(-1)
    variance = (share * (all_z - mean.unsqueeze(-1)).square()).sum(-1)
    # Thinned, the rest is Poisson; else a guide of more variance than the posterior.
    loc = (mean - x.double() if thinned else mean).clamp_min(1e-3)
    of_guide = {"loc": (loc * draw.choice([1.0, 1.2])).to(dtype)}

    def model(x, row, p):
        z = pyro.sample("z", dist.Poisson(p["rate"]))
        pyro.sample("x", likelihood(z, p), obs=x)

    def guide(x, row, p):
        pyro.sample("z", Shifted(p["loc"][row], x) if thinned else dist.Poisson(p["loc"][row]))

    base = dist.Poisson(of_guide["loc"].double().unsqueeze(-1))
    least = x.double().unsqueeze(-1) if thinned else torch.zeros(N, 1, dtype=torch.float64)
    log_q = torch.where(all_z >= least, base.log_prob((all_z - least).clamp_min(0)), -torch.inf)
    sound = _sound(share, log_q.exp()) and (dtype is torch.float64 or rate < 100)
    about = f"{thinned=} {N=} {dtype} {rate=:.2g} s={own['s']:.2g} sd={variance.sqrt().mean():.2g}"
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    return Case(pair, [x, torch.arange(N)], joint.logsumexp(-1), sound, about, samples=1000)


def labelled(seed: int) -> Case:
    """A class, enumerated or not, and a Gaussian within it: z ~ N(loc_c, scale_c^2), x ~ N(z, s^2)."""
    draw = drawn("labelled", seed)
    C, D, N = draw.choice([2, 4]), draw.choice([1, 3]), draw.choice([2, 7, 30])
    dtype, scale, enumerated = (
        draw.choice([torch.float32, torch.float64]),
        10 ** draw.uniform(-4, 3),
        draw.random() < 0.5,
    )
    values = {
        "logits": normal(C),
        "loc": scale * draw.uniform(0.1, 3) * normal(C, D),
        "scale": scale * (0.5 * normal(C, D)).exp(),
        "s": torch.tensor(scale * 10 ** draw.uniform(-0.5, 1), dtype=torch.float64),
    }
    own, p = rounded(values, dtype)
    k = torch.distributions.Categorical(logits=p["logits"]).sample([N])
    x = (p["loc"][k] + p["scale"][k] * normal(N, D) + p["s"] * normal(N, D)).to(dtype)
    variance = p["scale"].square() + p["s"].square()
    joint = p["logits"].log_softmax(-1) + dist.Normal(p["loc"], variance.sqrt()).to_event(1).log_prob(
        x.double().unsqueeze(1)
    )
    share = joint.softmax(-1)
    q, power, least = _states(draw, joint.log_softmax(-1))
    wider = draw.uniform(0.7, 1.5)
    of_guide = {
        "probs": q.to(dtype),
        "gain": (p["scale"].square() / variance).to(dtype),
        "loc": own["loc"],
        "sd": (wider * p["scale"] * p["s"] / variance.sqrt()).to(dtype),
    }

    def model(x, row, p):
        c = pyro.sample("c", dist.Categorical(logits=p["logits"]))
        z = pyro.sample("z", dist.Normal(p["loc"][c], p["scale"][c]).to_event(1))
        pyro.sample("x", dist.Normal(z, p["s"]).to_event(1), obs=x)

    def guide(x, row, p):
        c = pyro.sample("c", dist.Categorical(p["probs"][row]), infer=PARALLEL if enumerated else {})
        mean = p["loc"][c] + p["gain"][c] * (x - p["loc"][c])
        pyro.sample("z", dist.Normal(mean, p["sd"][c]).to_event(1))

    kept = of_guide["probs"].double()
    kept = kept / kept.sum(-1, keepdim=True)
    rare = bool(((share > 0.01) & (kept * 1000 < 10)).any())
    about = f"{C=} {D=} {N=} {dtype} {enumerated=} {scale=:.1e} {power=} {least=} {wider=:.2f} s={own['s']:.1e}"
    blind = "a state of the posterior that the guide seldom draws" if rare else ""
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    kl = D * (0.5 * (wider**2 - 1) - math.log(wider))
    sound = 1.0 <= wider <= 1.3 and _sound(share, kept) and not rare
    elbo = _elbo(joint, kept) - kl
    return Case(pair, [x, torch.arange(N)], joint.logsumexp(-1), sound, about, elbo=elbo, blind=blind, samples=1000)
