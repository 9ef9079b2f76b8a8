"""How programs are written: dims as an event, as plates within the plate of the data, one by one, masked; sites of
several supports; conditions; networks that fold particles. What is not one weight a datum is refused."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyrovae.nets.left import fold

from .case import Case, drawn, normal, pair_of, rounded

FORMS = (
    "event of two dims",
    "plate inside",
    "plate inside, no dim",
    "one by one",
    "masked",
    "scaled",
    "three sites",
    "conditional",
    "folded",
    "two observed",
)

REFUSED = ("plate inside", "plate inside, no dim", "scaled")


def plates(seed: int) -> Case:
    """z ~ N(m, s0^2), x ~ N(z, s1^2) in D x E dims, in one of `FORMS`."""
    draw = drawn("plates", seed)
    form, D, E, N = draw.choice(FORMS), draw.choice([1, 2, 3]), draw.choice([1, 2]), draw.choice([1, 2, 3, 7, 30])
    dtype, scale, wider = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3), draw.uniform(0.7, 1.5)
    values = {
        "m": scale * normal(D, E),
        "s0": torch.tensor(scale),
        "s1": torch.tensor(scale * 10 ** draw.uniform(-1, 1)),
    }
    own, p = rounded({name: value.double() for name, value in values.items()}, dtype)
    x = (p["m"] + p["s0"] * normal(N, D, E) + p["s1"] * normal(N, D, E)).to(dtype)
    own["here"] = (torch.rand(N, D, E) < 0.7) if form == "masked" else torch.ones(1, dtype=torch.bool)
    log_p = dist.Normal(p["m"], (p["s0"].square() + p["s1"].square()).sqrt()).log_prob(x.double())
    if form == "masked":
        log_p = log_p * own["here"]
    log_p, batch, inputs = log_p.sum((1, 2)), [x], ("x",)
    if form == "three sites":
        a, b = 2.0, 1.5
        count = dist.Poisson(dist.Gamma(a, b).sample([N])).sample().to(dtype)
        heads = dist.Binomial(9, dist.Beta(a, b).sample([N])).sample().to(dtype)
        log_p = (
            log_p
            + dist.GammaPoisson(a, b).log_prob(count.double())
            + dist.BetaBinomial(a, b, 9).log_prob(heads.double())
        )
        batch, inputs = [x, count, heads], ("x", "count", "heads")
    elif form == "conditional":
        y = scale * normal(N, D, E).to(dtype)
        x = (x.double() + y.double()).to(dtype)
        log_p = dist.Normal(p["m"] + y.double(), (p["s0"].square() + p["s1"].square()).sqrt()).log_prob(x.double())
        log_p, batch, inputs = log_p.sum((1, 2)), [x, y], ("x", "y")
    elif form == "two observed":
        other = (x.double() + p["s1"] * normal(N, D, E)).to(dtype)
        # By the precision of both: p(x, other) = p(x) p(other | x).
        variance = 1 / (p["s0"].pow(-2) + p["s1"].pow(-2))
        mean = variance * (p["m"] / p["s0"].square() + x.double() / p["s1"].square())
        more = dist.Normal(mean, (variance + p["s1"].square()).sqrt()).log_prob(other.double())
        log_p, batch, inputs = log_p + more.sum((1, 2)), [x, other], ("x", "other")

    def posterior(x: Tensor, p, seen: Tensor | float = 1.0):
        variance = 1 / (p["s0"].pow(-2) + seen * p["s1"].pow(-2))
        mean = variance * (p["m"] / p["s0"].square() + seen * x / p["s1"].square())
        return dist.Normal(mean, wider * variance.sqrt())

    def model(x, *rest):
        p = rest[-1]
        prior = dist.Normal(p["m"], p["s0"])
        if form.startswith("plate inside"):
            with pyro.plate("dims", D, **({"dim": -2} if form == "plate inside" else {})):
                z = pyro.sample("z", dist.Normal(p["m"].sum(-1).unsqueeze(-1), p["s0"]))
                pyro.sample("x", dist.Normal(z, p["s1"]), obs=x.sum(-1).T)
        elif form == "one by one":
            z = [pyro.sample(f"z{d}", dist.Normal(p["m"][d], p["s0"]).to_event(1)) for d in pyro.plate("dims", D)]
            pyro.sample("x", dist.Normal(torch.stack(z, -2), p["s1"]).to_event(2), obs=x)
        elif form == "scaled":
            with pyro.poutine.scale(scale=0.5):
                z = pyro.sample("z", prior.to_event(2))
            pyro.sample("x", dist.Normal(z, p["s1"]).to_event(2), obs=x)
        else:
            z = pyro.sample("z", prior.to_event(2))
            loc = z + rest[0] if form == "conditional" else z
            if form == "folded":
                loc = fold(lambda z: z.reshape(len(z), -1), (z, 2)).reshape(z.shape)
            q = dist.Normal(loc, p["s1"])
            pyro.sample("x", (q.mask(p["here"]) if form == "masked" else q).to_event(2), obs=x)
        if form == "two observed":
            pyro.sample("other", dist.Normal(z, p["s1"]).to_event(2), obs=rest[0])
        if form == "three sites":
            rate = pyro.sample("rate", dist.Gamma(2.0 * torch.ones_like(p["s0"]), 1.5))
            share = pyro.sample("share", dist.Beta(2.0 * torch.ones_like(p["s0"]), 1.5))
            pyro.sample("count", dist.Poisson(rate), obs=rest[0])
            pyro.sample("heads", dist.Binomial(9, share), obs=rest[1])

    def guide(x, *rest):
        p = rest[-1]
        if form.startswith("plate inside"):
            with pyro.plate("dims", D, **({"dim": -2} if form == "plate inside" else {})):
                pyro.sample("z", dist.Normal(x.sum(-1).T, p["s0"]))
        elif form == "one by one":
            q = posterior(x, p)
            for d in reversed(range(D)):
                pyro.sample(f"z{d}", dist.Normal(q.loc[:, d], q.scale[:, d]).to_event(1))
        elif form == "conditional":
            pyro.sample("z", posterior(x - rest[0], p).to_event(2))
        elif form == "two observed":
            pyro.sample("z", posterior((x + rest[0]) / 2, p, 2.0).to_event(2))
        elif form == "masked":
            pyro.sample("z", posterior(x, p, p["here"].to(x.dtype)).to_event(2))
        else:
            pyro.sample("z", posterior(x, p).to_event(2))
        if form == "three sites":
            pyro.sample("share", dist.Beta((2.0 + rest[1]) / wider**2, (10.5 - rest[1]) / wider**2))
            pyro.sample("rate", dist.Gamma((2.0 + rest[0]) / wider**2, 2.5 / wider**2))

    if form == "masked":  # the mask is of rows of the data, so all are scored together
        batch, inputs = [*batch, own.pop("here")], ("x", "here")
        inner_model, inner_guide = model, guide
        model = lambda x, here, p: inner_model(x, {**p, "here": here})  # noqa: E731
        guide = lambda x, here, p: inner_guide(x, {**p, "here": here})  # noqa: E731
    resolved = dtype is torch.float64 or float(own["s1"]) > 0.3 * float(own["s0"])
    sound = form not in REFUSED and 1.0 <= wider <= 1.3 and resolved and D * E <= 4
    if form.startswith("plate inside") and D == 1:
        log_p = log_p * torch.nan  # (1, B) is no (B,) either: to be refused
    about = f"{form} {D=} {E=} {N=} {dtype} {scale=:.1e} {wider=:.2f} s1={own['s1']:.1e}"
    return Case(pair_of(own, model, guide, inputs=inputs), batch, log_p, sound, about, anneal=form not in REFUSED)
