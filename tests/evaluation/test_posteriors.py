"""True posteriors on a grid: the closed form, every mode, and no number where the grid is not to be trusted."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case, linear
from torch import nn

from pyrovae import Pair, UsageError, evaluation, plots

pytestmark = pytest.mark.drawn


def normal(tensors, axes):
    """log N(z; mean, covariance) at the points of the grid, (n, n)."""
    mean, tril = tensors
    points = torch.cartesian_prod(*axes)
    found = torch.distributions.MultivariateNormal(mean, scale_tril=tril).log_prob(points)
    return found.reshape(len(axes[0]), -1)


@pytest.mark.parametrize("wider", [0.8, 1.0, 1.7])
def test_a_linear_pair_has_the_posterior_and_the_kl_of_the_closed_form(wider):
    known = linear(wider, n=3)
    guide, before = known.pair.guide, torch.get_rng_state()
    (found,) = evaluation.posteriors([known.pair], [known.x[1:2]])
    assert torch.equal(torch.get_rng_state(), before)
    mean = ((known.x[1] - guide.b) @ guide.to_mean.T).detach()
    tril = guide.tril.detach()
    torch.testing.assert_close(found.log_p, normal((mean, tril / wider), found.axes), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.log_q, normal((mean, tril), found.axes), atol=1e-8, rtol=0)
    assert found.log_likelihood == pytest.approx(known.log_p[1].item(), abs=1e-3)
    assert found.sampled == pytest.approx(known.log_p[1].item(), abs=5 * found.standard_error + 1e-6)
    assert found.kl == pytest.approx(known.kl, abs=1e-3)


class Folded(nn.Module):
    """x ~ N(z^2, 0.2^2): the posterior of x = (1, 1) has four modes."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z**2, 0.2).to_event(1), obs=x)


class OneMode(nn.Module):
    def __init__(self, mean=1.0, scale=0.1, family=dist.Normal):
        super().__init__()
        self.mean, self.scale, self.family = nn.Parameter(torch.tensor(mean)), scale, family

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.family(self.mean * torch.ones_like(x), self.scale).to_event(1))


def log_folded():
    """log p(x = (1, 1)) of Folded, by quadrature in one dimension."""
    z = torch.linspace(-6, 6, 200_001, dtype=torch.float64)
    one = dist.Normal(0.0, 1.0).log_prob(z) + dist.Normal(z**2, 0.2).log_prob(torch.ones_like(z))
    return 2 * torch.trapezoid(one.exp(), z).log().item()


def test_no_mode_of_the_posterior_is_cut():
    (found,) = evaluation.posteriors([Pair(Folded(), OneMode())], [torch.ones(1, 2)])
    assert found.log_likelihood == pytest.approx(log_folded(), abs=1e-3)
    for axis in found.axes:
        assert axis[0] < -1.4 and axis[-1] > 1.4
    mass = found.log_p.exp() / found.log_p.exp().sum()
    for right in (found.axes[0] > 0, found.axes[0] < 0):
        for above in (found.axes[1] > 0, found.axes[1] < 0):
            assert mass[right][:, above].sum() == pytest.approx(0.25, abs=1e-3)
    # q sits in one of four modes that do not touch: by itself the guide sees a quarter of the mass.
    alone = torch.distributions.Normal(1.0, 0.1)
    draws = alone.sample((100_000, 2)).double()
    p = dist.Normal(0.0, 1.0).log_prob(draws) + dist.Normal(draws**2, 0.2).log_prob(torch.ones(2))
    assert found.kl == pytest.approx((alone.log_prob(draws) - p).sum(1).mean().item() + log_folded(), abs=0.02)


def test_one_range_serves_all_guides():
    pairs = [Pair(Folded(), OneMode()), Pair(Folded(), OneMode(mean=3.0, scale=0.5))]
    near, far = evaluation.posteriors(pairs, [torch.ones(1, 2)])
    for a, b in zip(near.axes, far.axes, strict=True):
        assert a[0] - b[0] < 0.1 and a[-1] > 4
    assert near.log_likelihood == pytest.approx(far.log_likelihood, abs=1e-3)
    assert far.kl > near.kl > 1


def test_no_kl_where_the_grid_cannot_be_trusted(monkeypatch):
    heavy = Pair(Folded(), OneMode(family=dist.Cauchy, scale=3.0))
    assert evaluation.posteriors([heavy], [torch.ones(1, 2)])[0].kl is None  # q goes on beyond any grid
    narrow = Pair(Folded(), OneMode(scale=1e-4))
    assert evaluation.posteriors([narrow], [torch.ones(1, 2)])[0].kl is None  # q lies between the points
    known = linear(wider=3.0)
    assert evaluation.posteriors([known.pair], [known.x[:1]])[0].kl == pytest.approx(known.kl, abs=1e-3)
    monkeypatch.setattr("pyrovae.evaluation.posterior.DEPTH", 2.0)  # all of p, and a part of q
    assert evaluation.posteriors([known.pair], [known.x[:1]])[0].kl is None


@pytest.mark.parametrize("name", ["vae", "cvae", "iaf"])
@pytest.mark.parametrize("guide", ["diagonal", "iaf:steps=2:hidden=8"])
def test_every_image_pair_of_two_latents_has_a_posterior(name, guide):
    small = case(name, guide, latent_dim=2)
    pair = small.pair()
    assert evaluation.two_dimensional(pair, small.batch) == "z"
    found = evaluation.posteriors([pair], [tensor[:1] for tensor in small.batch])[0]
    datum = [tensor[:1] for tensor in small.batch]
    sampled = evaluation.log_likelihood(pair, datum, 20_000)
    close = 5 * sampled.standard_error.item() + 1e-3
    assert found.log_likelihood == pytest.approx(sampled.log_likelihood.item(), abs=close)
    assert found.kl is not None
    elbo = evaluation.elbo_per_datum(pair, datum, 20_000).elbo.item()
    assert found.kl == pytest.approx(found.log_likelihood - elbo, abs=0.05 * (1 + found.kl))


def test_other_latents_have_no_picture(global_pair):
    assert evaluation.two_dimensional(global_pair, [torch.randn(3, 2)]) is None
    three = case("vae")
    assert evaluation.two_dimensional(three.pair(), three.batch) is None


def test_the_picture_is_as_wide_as_its_columns(tmp_path):
    (found,) = evaluation.posteriors([Pair(Folded(), OneMode())], [torch.ones(1, 2)])
    path = plots.posteriors([[found] * 3] * 2, tmp_path / "p.png", ["a", "a:long=3:option=17"], ["x", "y", "z"])
    wide = plots.posteriors([[found]], tmp_path / "q.png", ["a"], ["x"])
    assert path.stat().st_size > wide.stat().st_size
    with pytest.raises(UsageError, match="1 guides and 2 columns"):
        plots.posteriors([[found]], tmp_path / "r.png", ["a"], ["x", "y"])


def test_regions_of_the_picture_hold_what_they_say():
    (found,) = evaluation.posteriors([Pair(Folded(), OneMode())], [torch.ones(1, 2)])
    density, levels = plots.posteriors.__globals__["_density"](found.log_p)
    assert levels == sorted(levels)
    for level, share in zip(levels, (0.99, 0.9, 0.5), strict=True):
        assert density[density >= level].sum() / density.sum() == pytest.approx(share, abs=0.01)
