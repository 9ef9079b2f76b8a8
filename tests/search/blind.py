"""Pairs whose fault no weight can show: a mode that the guide never enters, a bounded guide inside the posterior."""

import math

import pyro
import pyro.distributions as dist
import torch

from .case import Case, drawn, normal, pair_of, rounded


def blind(seed: int) -> Case:
    """The estimate is too low by the log of the mass that the guide meets, and its weights are nearly equal."""
    draw = drawn("blind", seed)
    form, N = draw.choice(["Uniform", "HalfNormal", "mode"]), draw.choice([2, 7, 30])
    dtype, scale = draw.choice([torch.float32, torch.float64]), 10 ** draw.uniform(-4, 3)
    values = {"s0": torch.tensor(scale), "s1": torch.tensor(scale * 10 ** draw.uniform(-0.3, 0.3)), "away": 20 * scale}
    own, p = rounded({key: torch.as_tensor(value).double() for key, value in values.items()}, dtype)
    s0, s1 = p["s0"], p["s1"]
    variance = 1 / (s0.pow(-2) + s1.pow(-2))
    sd = variance.sqrt()
    width = draw.uniform(0.8, 3.0)
    if form == "mode":
        # |z| is seen: the posterior has modes on both sides of 0.
        x = ((p["away"] + s0 * normal(N)).abs() + s1 * normal(N)).to(dtype)
        log_p = dist.Normal(p["away"], (s0.square() + s1.square()).sqrt()).log_prob(x.double())
        mean = variance * (p["away"] / s0.square() + x.double() / s1.square())
    else:
        x = (s0 * normal(N) + s1 * normal(N)).to(dtype)
        if form == "HalfNormal":
            x = (s0 * normal(N).abs() + s1 * normal(N)).to(dtype)
        mean = variance * x.double() / s1.square()
        log_p = dist.Normal(0.0, (s0.square() + s1.square()).sqrt()).log_prob(x.double())
        if form == "HalfNormal":
            log_p = log_p + math.log(2) + torch.special.log_ndtr(mean / sd)
    of_guide = {"mean": mean.to(dtype), "sd": sd.to(dtype)}

    def model(x, row, p):
        if form == "HalfNormal":
            z = pyro.sample("z", dist.HalfNormal(p["s0"]))
        elif form == "mode":
            locs = torch.stack([-p["away"], p["away"]])
            modes = dist.MixtureSameFamily(dist.Categorical(torch.ones_like(locs)), dist.Normal(locs, p["s0"]))
            z = pyro.sample("z", modes).abs()
        else:
            z = pyro.sample("z", dist.Normal(x.new_zeros(()), p["s0"]))
        pyro.sample("x", dist.Normal(z, p["s1"]), obs=x)

    def guide(x, row, p):
        mean, sd = p["mean"][row], p["sd"]
        if form == "Uniform":
            pyro.sample("z", dist.Uniform(mean - width * sd, mean + width * sd))
        elif form == "HalfNormal":
            low = (mean - 0.3 * sd).clamp_min(0)
            pyro.sample("z", dist.Uniform(low, low + width * sd))
        else:
            pyro.sample("z", dist.Normal(mean, 1.2 * sd))

    why = "a guide of bounded support inside the posterior" if form != "mode" else "a mode that the guide never enters"
    about = f"{form} {N=} {dtype} {scale=:.1e} {width=:.2f} s1={own['s1']:.1e}"
    pair = pair_of(own, model, guide, of_guide, ("x", "row"))
    return Case(pair, [x, torch.arange(N)], log_p, False, about, blind=why)
