"""Vectors in units of their own: the same density, outputs in the units of the data, and the baseline of both."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal

import pyrovae
from pyrovae import nets
from pyrovae.data import DataConfig, Field, load
from pyrovae.data.stored import moments_of
from pyrovae.evaluation.independent import baseline
from pyrovae.likelihoods import Normal as Likelihood
from pyrovae.likelihoods.scaled import ScaledNormal
from pyrovae.nets.units import Standard
from pyrovae.priors.vamp import vamp

UNITS = torch.tensor([1.0, 1e3, 1e6, 1e-3])
MEANS = torch.tensor([0.0, -5e3, 5e6, 7.0])


def table(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 2, generator=generator)
    noise = torch.randn(n, 4, generator=generator)
    mixing = torch.tensor([[1.0, 0.5, -1.0, 0.3], [0.2, -1.0, 0.4, 1.0]])
    return ((z @ mixing + 0.5 * noise) * UNITS + MEANS).double()


def field(**known):
    return Field((4,), "real", standardized=True, mean=MEANS, deviation=UNITS, **known)


def test_moments_keep_their_digits_far_from_zero():
    x = torch.tensor([[1e7, 3.0], [1e7 + 1, 3.0], [1e7 + 2, 3.0], [1e7 + 5, 3.0]])
    mean, deviation = moments_of(x, 1.0)
    torch.testing.assert_close(mean, x.double().mean(0), rtol=0, atol=0)
    torch.testing.assert_close(deviation, x.double().std(0, correction=0), rtol=1e-14, atol=0)
    assert deviation[1] == 0


def test_moments_of_pixels_are_those_of_what_they_stand_for():
    x = torch.randint(0, 256, (50, 1, 3, 3), dtype=torch.uint8)
    mean, deviation = moments_of(x, 255.0)
    torch.testing.assert_close(mean, (x.double() / 255).mean(0))
    torch.testing.assert_close(deviation, (x.double() / 255).std(0, correction=0))


@pytest.mark.parametrize(
    ("x", "standardize", "is_so"),
    [
        (torch.tensor([[3.0, 9.0], [4.0, 2.0]] * 10), None, True),
        (torch.tensor([[3.0, 9.0], [4.0, 2.0]] * 10), False, False),
        (torch.tensor([[0.3, 0.9], [0.4, 0.2]] * 10), None, False),  # in [0, 1], as pixels are
        (torch.tensor([[0.3, 0.9], [0.4, 0.2]] * 10), True, True),
        (torch.tensor([[0.0, 1.0], [1.0, 1.0]] * 10), True, False),  # bits
        (torch.randn(20, 1, 4, 4), True, False),  # images
    ],
)
def test_which_fields_are_standardised(x, standardize, is_so):
    data = load(x, DataConfig(standardize=standardize))
    assert data.fields["x"].standardized is is_so
    assert data.description["standardized"] is is_so
    assert torch.equal(data.split("train", ("x",))[0].unique(), x.float().unique()) or len(x) > data.size("train")


def test_rescaled_is_the_normal_in_the_units_of_the_data():
    loc, scale = torch.randn(5, 4).double(), torch.rand(5, 4).double() + 0.1
    p = ScaledNormal(loc, scale, MEANS.double(), UNITS.double())
    q = Normal(MEANS + UNITS * loc, UNITS * scale)
    x = q.sample((3,))
    for mine, wanted in (
        (p.log_prob(x), q.log_prob(x)),
        (p.mean, q.mean),
        (p.mode, q.mean),
        (p.stddev, q.stddev),
        (p.variance, q.variance),
        (p.entropy(), q.entropy()),
        (p.cdf(x), q.cdf(x)),
        (p.expand((2, 5, 4)).log_prob(x[:2]), q.log_prob(x[:2])),
        (p.to_event(1).expand((2, 5)).log_prob(x[:2]), q.log_prob(x[:2]).sum(-1)),
    ):
        torch.testing.assert_close(mine, wanted)
    torch.manual_seed(0)
    mine = p.rsample((2,))
    torch.manual_seed(0)
    torch.testing.assert_close(mine, q.rsample((2,)))


def test_rescaled_keeps_the_digits_of_a_column_far_from_zero():
    shift, unit = torch.tensor([1e7]), torch.tensor([1.0])
    x, u = torch.tensor([1e7 + 3]), torch.tensor([0.123])
    p = ScaledNormal(u, torch.tensor([0.5]), shift, unit)
    assert p.log_prob(x).item() == pytest.approx(Normal(u, 0.5).log_prob(torch.tensor(3.0)).item(), abs=1e-5)
    by_the_normal_of_x = Normal(shift + u, 0.5).log_prob(x)
    assert by_the_normal_of_x.item() != pytest.approx(p.log_prob(x).item(), abs=0.1)


@pytest.mark.parametrize("scale", ["fixed", "learned", "pixel"])
def test_normal_in_units_of_the_columns(scale):
    family = Likelihood(field(), scale, sigma=0.3).double()
    h = torch.randn(3, family.outputs * 4, dtype=torch.float64)
    p, start = family(h), math.log(math.expm1(0.3 - 1e-3))
    sigma = {
        "fixed": torch.full((3, 4), 0.3),  # in the units of the data
        "learned": 0.3 * UNITS.expand(3, 4),
        "pixel": (1e-3 + torch.nn.functional.softplus(h[:, 4:] + start)) * UNITS if scale == "pixel" else None,
    }[scale]
    torch.testing.assert_close(p.mean, MEANS + UNITS * h[:, :4])
    torch.testing.assert_close(p.stddev, sigma.double())
    x = MEANS + UNITS * torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(p.log_prob(x), Normal(p.mean, sigma.double()).log_prob(x).sum(-1))
    starts = family(family.bias(field()).double().expand(1, -1)).mean
    torch.testing.assert_close(starts[0].float(), MEANS)
    zero = Likelihood(field(), scale, at_mean=False)
    torch.testing.assert_close(zero(zero.bias(field()).expand(1, -1)).mean[0], torch.zeros(4), atol=1e-3, rtol=0)


def test_networks_and_pseudo_inputs_take_units_of_the_columns():
    x, config = table(5).float(), nets.NetConfig(hidden=(7,))
    torch.manual_seed(0)
    read = nets.encoder(field(), config)
    torch.manual_seed(0)
    plain = nets.encoder(Field((4,), "real"), config)
    torch.testing.assert_close(read(x), plain((x - MEANS) / UNITS))
    torch.testing.assert_close(nets.embed(field())(x), (x - MEANS) / UNITS)
    pseudo = vamp(2, lambda u: Normal(u, 1.0), field(), pseudo_inputs=6)
    torch.testing.assert_close((pseudo.inputs() - MEANS) / UNITS, pseudo.pseudo, atol=1e-3, rtol=1e-3)
    assert pseudo.pseudo.abs().max() < 0.1


def test_a_column_that_does_not_vary_keeps_its_unit():
    found = load(torch.tensor([[7.0, 1.0], [7.0, 4.0]] * 10)).fields["x"]
    assert Standard(found).scale.tolist() == [1.0, pytest.approx(1.5, rel=0.05)]


def test_units_come_back_with_the_weights(tmp_path):
    x = table()
    run = pyrovae.fit("vae", data=x, epochs=1, hidden=(8,), latent_dim=2, out=tmp_path / "run", show=False)
    again = pyrovae.load(tmp_path / "run", data=x)
    first, second = (each.log_likelihood(samples=5, show=False).log_likelihood for each in (run, again))
    assert torch.equal(first, second)
    assert again.fields["x"].standardized
    assert (again.reconstruct(3).mean(0) / MEANS.where(MEANS != 0, 1)).abs().max() < 3  # in the units of the data
    on = pyrovae.fit(resume=tmp_path / "run", data=x, epochs=2, show=False)
    assert on.fields["x"].standardized


@pytest.mark.parametrize("name", ["vae", "hvae", "cvae"])
def test_every_pair_of_vectors_gets_past_unlike_scales(name):
    x = table(400)
    y = (x[:, :1] * 1e4).float()
    sizes = {"latent_dim": (2, 2), "hidden2": (8,)} if name == "hvae" else {"latent_dim": 2}
    data = {"x": x, "y": y} if name == "cvae" else x
    run = pyrovae.fit(name, data=data, epochs=30, hidden=(16,), batch_size=32, lr=1e-2, show=False, **sizes)
    assert run.results["test_elbo"] > run.results["baseline"]["log_likelihood"] - 1
    scales = run.sample(200)["x"] if isinstance(run.sample(2), dict) else run.sample(200)
    assert (scales.std(0) / UNITS).log().abs().max() < 1.5


def test_the_baseline_of_numbers_is_the_independent_gaussian():
    x = table()
    run = pyrovae.fit("vae", data=x, epochs=1, hidden=(8,), latent_dim=2, show=False)
    train, test = (run.data.split(split, ("x",))[0].double() for split in ("train", "test"))
    wanted = MultivariateNormal(train.mean(0), torch.diag(train.var(0, correction=0))).log_prob(test).mean()
    found = run.outcome.test.baseline
    assert found.name == "independent Gaussian"
    assert found.log_likelihood == pytest.approx(wanted.item(), rel=1e-5)
    assert run.results["baseline"] == found._asdict()


def test_the_baseline_of_bits_is_the_independent_bernoulli():
    x = torch.bernoulli(torch.full((80, 6), 0.3), generator=torch.Generator().manual_seed(0))
    x[:, 0] = 0
    run = pyrovae.fit("vae", data=x, epochs=1, hidden=(8,), latent_dim=2, show=False)
    train, test = (run.data.split(split, ("x",))[0].double() for split in ("train", "test"))
    p = (train.sum(0) + 0.5) / (len(train) + 1)
    found = run.outcome.test.baseline
    assert found.name == "independent Bernoulli"
    assert found.log_likelihood == pytest.approx(Bernoulli(p).log_prob(test).sum(-1).mean().item(), rel=1e-5)


def test_no_baseline_where_the_scores_are_of_something_else():
    gray = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    common = {"epochs": 1, "hidden": (8,), "latent_dim": 2, "show": False}
    bce = pyrovae.fit("vae", data=gray, likelihood="bce", binarize="none", **common)
    hidden = pyrovae.fit("cvae", data=gray.round(), condition="quadrants", **common)
    assert bce.outcome.test.baseline is None
    assert hidden.outcome.test.baseline is None
    images = pyrovae.fit("vae", data=gray, likelihood="normal", binarize="none", **common)
    train, test = (images.data.split(split, ("x",))[0].double() for split in ("train", "test"))
    one = (train - train.mean(0)).square().mean().sqrt()
    wanted = Normal(train.mean(0), one).log_prob(test).flatten(1).sum(1).mean().item()
    assert images.outcome.test.baseline.log_likelihood == pytest.approx(wanted, rel=1e-5)


def test_the_baseline_leaves_generators_alone():
    run = pyrovae.fit("vae", data=table(60), epochs=1, hidden=(8,), latent_dim=2, show=False)
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    baseline(run.pair, run.split("test"), run.data)
    assert torch.equal(torch.rand(1), wanted)


def test_what_is_worse_than_the_baseline_is_called_so():
    raw = pyrovae.fit("vae", data=table(), standardize=False, epochs=3, hidden=(8,), latent_dim=2, show=False)
    wild = pyrovae.fit("vae", data=table(), lr=1e9, epochs=3, hidden=(8,), latent_dim=2, show=False)
    for run in (raw, wild):
        assert any("worse than an independent Gaussian" in each for each in run.results["warnings"])
