"""A pair whose gradient has no noise, so that pieces of a batch can be compared with all of it; in double precision."""

import pyro
import pyro.distributions as dist
import torch
from torch import nn

from pyrovae import Pair


class Model(nn.Module):
    """b ~ N(0, 1) of all data together, z ~ N(b, 1), x ~ N(f(z), s^2)."""

    def __init__(self, norm=False):
        super().__init__()
        parts = [nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 3)]
        self.decoder = nn.Sequential(*parts, nn.BatchNorm1d(3)) if norm else nn.Sequential(*parts)
        self.raw = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        b = pyro.sample("b", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(b, 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), self.raw.exp()).to_event(1), obs=x)


class Guide(nn.Module):
    """The best z and b themselves."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(3, 2)
        self.b = nn.Parameter(torch.ones(2))

    def forward(self, x):
        pyro.sample("b", dist.Delta(self.b, event_dim=1))
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Delta(self.encoder(x), event_dim=1))


def noiseless(norm=False):
    """The pair, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Pair(Model(norm), Guide()).double()


def data(n=13):
    """(n, 3)."""
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
