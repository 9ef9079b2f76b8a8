"""Noise that is no site of a trace: no weight of a datum is its own then, and a score says so."""

import itertools

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.nn.functional import dropout, softplus

import pyrovae
from pyrovae import Pair, PyrovaeError, evaluation
from pyrovae.pairs.assumptions import broken
from pyrovae.pairs.structure import structure
from pyrovae.testing import check


class Model(nn.Module):
    def __init__(self, noisy=lambda h: h):
        super().__init__()
        self.decoder, self.noisy = nn.Linear(2, 6), noisy

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.noisy(self.decoder(z)), 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, noisy=lambda h: h):
        super().__init__()
        self.encoder, self.noisy = nn.Linear(6, 4), noisy

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            loc, raw = self.noisy(self.encoder(x)).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, softplus(raw) + 0.5).to_event(1))


def hidden(h):
    """A latent site that no trace holds."""
    with pyro.poutine.block(hide=["u"]):
        return h + pyro.sample("u", dist.Normal(torch.zeros_like(h), 1.0).to_event(1))


def counted():
    """A number that is another one at each call."""
    calls = itertools.count()
    return lambda h: h + 0.1 * next(calls)


NOISY = {
    "randn in the model": lambda: Pair(Model(lambda h: h + torch.randn_like(h)), Guide()),
    "randn in the guide": lambda: Pair(Model(), Guide(lambda h: h + torch.randn_like(h))),
    "dropout that stays on": lambda: Pair(Model(lambda h: dropout(h, 0.5, training=True)), Guide()),
    "a blocked site": lambda: Pair(Model(hidden), Guide()),
    "a counter": lambda: Pair(Model(counted()), Guide()),
}


@pytest.mark.parametrize("name", NOISY)
@pytest.mark.parametrize("rows", [1, 7])
def test_noise_that_is_no_site_is_told_as_what_it_is(name, rows):
    torch.manual_seed(0)
    pair, x = NOISY[name](), torch.randn(rows, 6)
    told = broken(pair, [x], structure(pair, [x]))
    assert any("draws noise that is no site" in each for each in told)
    assert not any("mixes the data" in each or "precision" in each or "content" in each for each in told)
    verdict = evaluation.log_likelihood(pair, [x], 200).verdict()
    assert not verdict.trusted
    assert "draws noise that is no site" in verdict.sentence


def test_check_says_it_by_the_law_of_rows():
    (law,) = [law for law in check(NOISY["randn in the model"](), [torch.randn(9, 6)]) if law.name == "rows"]
    assert law.passed is False
    assert "draws noise that is no site" in law.detail


def test_dropout_that_ends_with_training_is_none():
    torch.manual_seed(0)
    pair, x = Pair(Model(nn.Dropout(0.5)), Guide(nn.Dropout(0.5))), torch.randn(7, 6)
    assert broken(pair, [x], structure(pair, [x])) == []


def test_a_prior_that_counts_its_calls_reads_no_data():
    """Its latents are drawn from another distribution each time, whatever the data are."""
    shift = counted()

    class Counting(Model):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(shift(x.new_zeros(2)), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)

    x = torch.randn(7, 6)
    pair = Pair(Counting(), Guide())
    (told,) = [each for each in broken(pair, [x], structure(pair, [x])) if "content" in each or "counts" in each]
    assert "counts its calls" in told


def test_a_site_without_its_event_dims_is_told_the_cure():
    class Flat(Model):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(self.decoder(z), 1.0), obs=x)

    pair = Pair(Flat(), Guide())
    with pytest.raises(PyrovaeError, match=r"end the distribution of a site with .to_event\(n\)"):
        pyrovae.fit(lambda: pair, data=torch.randn(20, 6), epochs=1)
