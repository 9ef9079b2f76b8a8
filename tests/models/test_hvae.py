"""Two stochastic layers: the sizes of the paper, and log p(x) against an integral over both latents."""

import math

import torch
from conftest import case
from torch import nn

import pyrovae
from pyrovae import registry
from pyrovae.data import Field
from pyrovae.objectives.terms import closed_form
from pyrovae.pairs.traces import log_joint, sites, traces


def widths(module):
    return [tuple(part.weight.shape[::-1]) for part in module.modules() if isinstance(part, nn.Linear)]


def test_the_default_sizes_are_those_of_the_paper():
    hvae = registry.variant("hvae")
    fields = {"x": Field((1, 28, 28), "binary")}
    pair = hvae.build(hvae.config(), fields, registry.family("diagonal"))
    assert widths(pair.guide) == [(784, 200), (200, 200), *[(200, 100)] * 2, *[(100, 100)] * 2, *[(100, 50)] * 2]
    assert widths(pair.model) == [(50, 100), (100, 100), *[(100, 100)] * 2, (100, 200), (200, 200), (200, 784)]


def test_the_model_goes_down_and_the_guide_up():
    tried = case("hvae")
    p, q = traces(tried.pair(), tried.batch)
    assert list(sites(p)) == ["z2", "z1", "x"]
    assert list(sites(q)) == ["z1", "z2"]
    assert closed_form(p, q) == {"z2"}  # the KL of z1 is of one z2, which the guide draws afterwards


def test_log_p_is_the_integral_over_both_latents():
    tried = case("hvae", latent_dim=(1, 1))
    pair, batch = tried.pair(seed=1), [tried.batch[0][:5]]
    with torch.no_grad():
        for weight in pair.model.parameters():
            weight.mul_(1.5)  # a posterior that is no copy of the prior
        # The scale of z1 may be 4 or so: a wide grid.
        grid = torch.linspace(-20, 20, 401)
        z1, z2 = torch.meshgrid(grid, grid[100:301], indexing="ij")
        values = {"z1": z1.reshape(-1, 1, 1).expand(-1, 5, 1), "z2": z2.reshape(-1, 1, 1).expand(-1, 5, 1)}
        log_p = log_joint(pair.model, batch, values, K=z1.numel()).logsumexp(0) + 2 * math.log(0.1)
    found = pyrovae.log_likelihood(pair, batch, samples=5000, proposal="widened")
    assert ((found.log_likelihood - log_p).abs() < 5 * found.standard_error + 1e-3).all()
    assert (found.standard_error < 0.05).all()
