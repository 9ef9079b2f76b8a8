"""What makes a comparison of guides fair: the same minibatches, one shared model, differences datum by datum."""

import math

import numpy as np
import pytest
import torch
from conftest import case, linear

import pyrovae
from pyrovae import PyrovaeError, UsageError, evaluation, fitting, freezing, training
from pyrovae.lowering import engine

TINY = {"latent_dim": 2, "hidden": (6,), "score_samples": 5, "device": "cpu", "show": False, "compile": False}


@pytest.fixture
def x():
    """Sixty vectors of 6, 48 of them to train on."""
    return torch.randn(60, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def seen(monkeypatch):
    """The rows of every step of every fit of a test, one list a fit."""
    found, real = [], training.Step.__call__
    train = fitting.train

    def started(*args):
        found.append([])
        return train(*args)

    def noted(self, rows, *args):
        found[-1].append(rows["x"].clone())
        return real(self, rows, *args)

    monkeypatch.setattr(fitting, "train", started)
    monkeypatch.setattr(training.Step, "__call__", noted)
    return found


# ---- the same minibatches


def test_minibatches_follow_from_the_seed_alone(x, seen, tmp_path):
    np.save(tmp_path / "x.npy", x.numpy())
    common = TINY | {"epochs": 3, "batch_size": 20}
    for guide in ("diagonal", "full", "iaf:steps=2:hidden=8"):
        pyrovae.fit("vae", data=x, guide=guide, **common)
    pyrovae.fit("vae", data=x, particles=3, objective="iwae", **common | {"hidden": (4, 4)})
    pyrovae.fit("vae", data=tmp_path / "x.npy", stream=True, workers=0, guide="full", **common)
    pyrovae.fit("vae", data=x, guide="diagonal", seed=1, **common)
    first, *others, other_seed = seen
    assert [len(rows) for rows in first] == [20, 20, 8] * 3
    for fit in others:
        assert all(torch.equal(a, b) for a, b in zip(first, fit, strict=True))
    assert not torch.equal(first[0], other_seed[0])
    assert not torch.equal(first[0], first[3])  # a fresh order in every epoch


def test_minibatches_of_sentences_follow_from_the_seed_alone(seen, tmp_path):
    words = np.random.default_rng(0).choice(list("abcdefgh"), (60, 12))
    lines = [" ".join(row[: 1 + i % 12]) for i, row in enumerate(words)]
    (tmp_path / "s.txt").write_text("\n".join(lines))
    for guide in ("diagonal", "full"):
        small = TINY | {"epochs": 2, "batch_size": 10, "embedding": 4, "hidden": 6}
        pyrovae.fit("textvae", data=tmp_path / "s.txt", guide=guide, **small)
    first, second = seen
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# ---- one model, frozen


OWN = """
import pyro, pyro.distributions as dist
from torch import nn
from pyrovae import Pair


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(2, 7), nn.Dropout(0.5), nn.Tanh(), nn.Linear(7, 6))
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            h = self.decoder(z)
            h = self.norm(h.flatten(0, -2)).reshape(h.shape)
            pyro.sample("x", dist.Normal(h, 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, encoder, family):
        super().__init__()
        self.encoder, self.q = encoder, family(5, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(self.encoder(x)))


def Plain(family):
    return Pair(Model(), Guide(nn.Linear(6, 5), family))


def Shared(family):
    pair = Plain(family)
    pair.model.read = pair.guide.encoder
    return pair


class Reader(nn.Module):
    def __init__(self, guide):
        super().__init__()
        self.inner, self.encode = Model(), [guide.encoder]

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(self.encode[0].weight[:2, 0], 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.inner.decoder(z), 1.0).to_event(1), obs=x)


def Reads(family):
    guide = Guide(nn.Linear(6, 5), family)
    return Pair(Reader(guide), guide)


def Brings(width: int = 5):
    from pyrovae.guides.diagonal import Diagonal
    return Plain(Diagonal)
"""

SHORT = {"epochs": 2, "batch_size": 20, "score_samples": 5, "device": "cpu", "show": False, "compile": False}


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return str(tmp_path / "own.py")


def model_of(run):
    return {name: tensor.clone() for name, tensor in run.pair.model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_frozen_model_keeps_every_bit_and_the_guide_learns(x, own, tmp_path):
    source = pyrovae.fit(f"{own}:Plain", data=x, out=tmp_path / "source", lr=0.02, **SHORT)
    before = model_of(source)
    assert not torch.equal(before["norm.running_mean"], torch.zeros(6))
    frozen = {"freeze_model": tmp_path / "source", "trust": True, "show": False}
    run = pyrovae.fit(data=x, guide="full", out=tmp_path / "run", **frozen, lr=0.01)
    fresh = pyrovae.fit(f"{own}:Plain", data=x, guide="full", **SHORT | {"epochs": 1, "lr": 1e-30})
    assert same(model_of(run), before)
    assert run.recipe.training.epochs == 2 and run.recipe.training.batch_size == 20 and run.recipe.training.lr == 0.01
    for name, parameter in run.pair.guide.named_parameters():
        assert not torch.equal(parameter, fresh.pair.guide.get_parameter(name)), name
    loaded = pyrovae.load(tmp_path / "run", data=x, device="cpu", trust=True)
    assert same(model_of(loaded), before)
    assert loaded.recipe.frozen == run.recipe.frozen
    assert loaded.recipe.frozen["run"] == str(tmp_path / "source")
    assert loaded.recipe.frozen["weights"] == freezing.checksum(source.pair.model)
    assert all(math.isfinite(epoch["train_elbo"]) for epoch in loaded.metrics)


def test_a_frozen_model_is_in_eval_mode(x, own, monkeypatch):
    source, modes = pyrovae.fit(f"{own}:Plain", data=x, **SHORT), set()
    real = training.Step.__call__

    def noted(self, *args):
        modes.add((self.objective.pair.model.norm.training, self.objective.pair.guide.encoder.training))
        return real(self, *args)

    monkeypatch.setattr(training.Step, "__call__", noted)
    pyrovae.fit(freeze_model=source, guide="full", show=False)
    assert modes == {(False, True)}


def test_a_frozen_model_is_traced_to_the_same_weights(x, monkeypatch):
    monkeypatch.setattr(engine, "FEW", 1)
    source = pyrovae.fit("vae", data=x, **TINY, epochs=2)
    eager = pyrovae.fit(freeze_model=source, guide="full", show=False, epochs=6)
    traced = pyrovae.fit(freeze_model=source, guide="full", show=False, epochs=6, compile=None)
    assert (eager.results["engine"], traced.results["engine"]) == ("eager", "traced")
    assert same(model_of(traced), model_of(source))
    assert traced.results["test_elbo"] == pytest.approx(eager.results["test_elbo"], rel=1e-4)


def test_a_shared_parameter_is_frozen_and_said(x, own, tmp_path, capsys):
    pyrovae.fit(f"{own}:Shared", data=x, out=tmp_path / "source", **SHORT)
    before = pyrovae.load(tmp_path / "source", data=x, device="cpu", trust=True).pair.guide.encoder.weight.clone()
    run = pyrovae.fit(data=x, guide="full", freeze_model=tmp_path / "source", trust=True, show=None)
    assert torch.equal(run.pair.guide.encoder.weight, before)
    assert run.recipe.frozen["shared"] == ["encoder.weight", "encoder.bias"]
    assert "model and guide share encoder.weight, encoder.bias: frozen" in capsys.readouterr().err


def test_a_model_that_reads_the_guide_cannot_be_frozen(x, own):
    source = pyrovae.fit(f"{own}:Reads", data=x, **SHORT)
    with pytest.raises(PyrovaeError, match="reads weights of the guide"):
        pyrovae.fit(freeze_model=source, guide="full", show=False)


def test_what_contradicts_the_frozen_run_is_refused_by_name(x, own, tmp_path):
    source = pyrovae.fit("vae", data=x, out=tmp_path / "source", **TINY, epochs=1)
    for given, says in [
        ({"model": "cvae"}, "is a run of model vae, not of cvae"),
        ({"latent_dim": 3}, "latent_dim = 3 contradicts"),
        ({"held_out": 0.2}, "held_out = 0.2 contradicts"),
        ({"data": x + 1}, "is frozen with its data: .* are not those of this run"),
        ({"nonsense": 3}, "no option 'nonsense'"),
        ({"guide": "iaff"}, "did you mean 'iaf'"),
    ]:
        with pytest.raises(PyrovaeError, match=says) as told:
            pyrovae.fit(freeze_model=source, show=False, out=tmp_path / "new", **given)
        assert "\n" not in str(told.value)
    assert not (tmp_path / "new").exists()
    pyrovae.fit("vae", data=x, freeze_model=source, show=False, latent_dim=2)  # repeated, not contradicted
    with pytest.raises(PyrovaeError, match="brings a guide of its own"):
        pyrovae.fit(freeze_model=pyrovae.fit(f"{own}:Brings", data=x, **SHORT), show=False)
    with pytest.raises(UsageError, match="not a run directory"):
        pyrovae.fit(freeze_model=tmp_path / "nowhere", show=False)
    with pytest.raises(UsageError, match="fit needs a model"):
        pyrovae.fit(data=x)


# ---- values and intervals


def test_elbo_and_rate_of_each_datum_are_those_of_the_closed_form():
    known = linear(wider=1.4, n=11)
    before = torch.get_rng_state()
    found = evaluation.elbo_per_datum(known.pair, [known.x], draws=4000)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(found.elbo, known.log_p - known.kl, atol=0.1, rtol=0)
    torch.testing.assert_close(found.elbo, -(found.rate + found.distortion))
    one = evaluation.elbo_per_datum(linear(1.0).pair, [linear(1.0).x], draws=3)
    torch.testing.assert_close(one.elbo, linear(1.0).log_p)  # of the exact posterior every draw is exact


def test_draws_in_pieces_are_one_estimate(monkeypatch):
    known = linear(wider=1.4, n=11)
    monkeypatch.setattr("pyrovae.evaluation.chunks.CPU_BYTES", 10_000)
    found = evaluation.elbo_per_datum(known.pair, [known.x], draws=3001)
    torch.testing.assert_close(found.elbo, known.log_p - known.kl, atol=0.1, rtol=0)


def test_a_pair_without_latents_has_its_log_likelihood_as_elbo():
    words = case("textvae-no-z")
    pair = words.pair()
    exact = evaluation.log_likelihood(pair, words.batch).log_likelihood
    torch.testing.assert_close(evaluation.elbo_per_datum(pair, words.batch, 5).elbo, exact)


def test_bootstrap_intervals_of_gaussian_data_are_those_of_theory():
    values = np.random.default_rng(1).normal(3.0, 2.0, (5, 800)) + 1e6
    low, high = evaluation.mean_interval(values)
    error = values.std(1) / math.sqrt(800)
    np.testing.assert_allclose((low + high) / 2 - values.mean(1), 0, atol=0.1 * error.max())
    np.testing.assert_allclose(high - low, 2 * 1.96 * error, rtol=0.06)
    narrow = evaluation.mean_interval(values, level=0.5)
    np.testing.assert_allclose(narrow[1] - narrow[0], 2 * 0.6745 * error, rtol=0.06)


def test_bootstrap_intervals_hold_the_mean_as_often_as_they_say():
    low, high = evaluation.mean_interval(np.random.default_rng(2).exponential(1.0, (1500, 80)), resamples=2000)
    held = ((low < 1) & (high > 1)).mean()
    assert 0.91 < held < 0.965


def test_bootstrap_intervals_come_in_any_shape_and_pieces(monkeypatch):
    values = np.random.default_rng(3).normal(size=(2, 3, 50))
    whole = evaluation.mean_interval(values)
    assert whole[0].shape == (2, 3)
    np.testing.assert_allclose(evaluation.mean_interval(values[1, 2])[0], whole[0][1, 2])
    monkeypatch.setattr("pyrovae.evaluation.bootstrap.AT_ONCE", 5000)
    np.testing.assert_allclose(evaluation.mean_interval(values)[1], whole[1])
    assert np.isnan(evaluation.mean_interval(np.array([1.0]))[0])
    values[0, 0, 0] = -np.inf
    low = evaluation.mean_interval(values)[0]
    assert np.isnan(low[0, 0]) and np.isfinite(low.ravel()[1:]).all()
