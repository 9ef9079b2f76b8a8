"""One of two processes that train and score together: `python two_ranks.py RANK FOLDER` writes what it found."""

import sys
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from conftest import case, linear
from pieces import data, noiseless
from torch import distributed, nn

from pyrovae import Pair, evaluation
from pyrovae.objectives.elbo import ELBO
from pyrovae.runtime.ranks import from_first, sentences, world
from pyrovae.svi import Optimizer, Step

STEPS = ((0, 13), (13, 20), (20, 21))
"""Rows of the batches of all processes together: even, odd, and one datum that leaves a process without any."""


def trained(rank, size, lowered=False, bad=False, microbatch=None):
    """Weights, figures and counts after some steps, of which this process takes every `size`-th row."""
    pair, x = noiseless(), data(21)
    if bad:
        x[13] = torch.inf  # the second batch, of the first process
    step = Step(ELBO(pair), Optimizer(list(pair.parameters()), clip=0.5), microbatch=microbatch)
    if lowered:
        rows = x[0:12][rank::size]
        step.lower([(rows.roll(i, 0),) for i in range(3)], calls=3000)
        assert step.engine.tier == "traced", step.engine.reason
    found = []
    for first, last in STEPS:
        rows = x[first:last][rank::size]
        share = torch.tensor(len(rows) / 21, dtype=torch.float64)
        figures = step((rows,), torch.tensor(0.01), torch.tensor(0.5), share, last - first)
        found.append(torch.stack([figure.double() for figure in figures]))
    counts = torch.stack([step.optimizer.skipped, step.optimizer.streak, step.optimizer.longest])
    weights = torch.cat([parameter.detach().flatten() for parameter in pair.parameters()])
    return {"weights": weights, "figures": torch.stack(found), "counts": counts}


def scored(**options):
    """Of data whose log p(x) is known."""
    exact = linear(wider=1.5, n=9)
    found = evaluation.log_likelihood_over_ranks(exact.pair, [exact.x], **options)
    state = {name: getattr(found, name) for name in ("log_likelihood", "standard_error", "ess", "pareto_k", "drawn")}
    return state | {"log_p": exact.log_p, "samples": torch.tensor(found.samples)}


class Coarse(nn.Module):
    """A guide whose scale float32 does not resolve, of data above 0 alone."""

    def forward(self, x):
        scale = torch.where(x[:, :1] > 0, 3e-8, 0.5)
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(x.new_ones(2), scale).to_event(1))


class Plain(nn.Module):
    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=x)


def told():
    """What is said of data of which only those of the second process break an assumption; as bytes."""
    x = torch.full((8, 2), -0.5)
    x[1] = 0.5
    found = evaluation.log_likelihood_over_ranks(Pair(Plain(), Coarse()), [x], 30)
    assert found.verdict().trusted is False
    return torch.tensor([*"\n".join(found.broken).encode()], dtype=torch.uint8)


def everything(rank, size):
    """What is compared."""
    pair = case("vae").pair(seed=rank)  # other weights in each process
    before = torch.cat([parameter.detach().flatten() for parameter in pair.parameters()])
    from_first(pair)
    norm = noiseless(norm=True)
    norm.model.decoder[3].running_mean.fill_(rank + 1)
    from_first(norm, buffers_only=True)
    few = linear(wider=1.5, n=1)
    one = evaluation.log_likelihood_over_ranks(few.pair, [few.x], 50).log_likelihood
    return {
        "eager": trained(rank, size),
        "lowered": trained(rank, size, lowered=True),
        "bad": trained(rank, size, bad=True),
        "microbatch": trained(rank, size, microbatch=2),
        "scored": scored(samples=400),
        "grown": scored(samples=20, target_se=0.02),
        "told": {"broken": told()},
        "said": {"all": torch.tensor([*"".join(sentences(["a", "b"] if rank else ["b"])).encode()])},
        "one": {"log_likelihood": one, "log_p": few.log_p},
        "from_first": {
            "before": before,
            "after": torch.cat([parameter.detach().flatten() for parameter in pair.parameters()]),
            "mean": norm.model.decoder[3].running_mean,
        },
    }


if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    pyro.set_rng_seed(0)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    assert world() == (rank, 2)
    from safetensors.torch import save_file

    found = {f"{a}.{b}": value.contiguous() for a, each in everything(rank, 2).items() for b, value in each.items()}
    save_file(found, folder / f"{rank}.safetensors")
    distributed.destroy_process_group()
