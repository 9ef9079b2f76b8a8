"""What makes a comparison of guides fair: the same minibatches, one shared model, differences datum by datum."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from commands import score_quickly
from conftest import case, linear

import pyrovae
from pyrovae import PyrovaeError, UsageError, comparison, evaluation
from pyrovae.comparison import Gaps
from pyrovae.lowering import engine
from pyrovae.training import fit as fitting
from pyrovae.training import freezing
from pyrovae.training import loop as training

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

    def started(*args, **options):
        found.append([])
        return train(*args, **options)

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
        ({"latent_dim": 3}, "latent_dim=3 contradicts"),
        ({"held_out": 0.2}, "held_out=0.2 contradicts"),
        ({"data": x + 1}, "is frozen with its data: .* are not those of this run"),
        ({"nonsense": 3}, "no option 'nonsense'"),
        ({"guide": "iaff"}, "did you mean 'iaf'"),
        ({"guide": ""}, "there is no guide ''"),
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


# ---- the comparison


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Two guides and two seeds on one frozen model, and the folder."""
    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("compared")
    pyrovae.fit("vae", data=x, out=folder / "source", epochs=1, held_out=0.3, **TINY)
    found = pyrovae.compare(
        guides=("iaf:steps=1", "full"),
        seeds=(0, 3),
        data=x,
        out=folder / "out",
        freeze_model=folder / "source",
        baseline="full",
        score_limit=7,
        lr=0.01,
        show=False,
    )
    return found, folder, x


def test_every_figure_is_the_mean_of_what_each_datum_has(compared):
    found, folder, x = compared
    assert found.baseline == "full"
    with np.load(folder / "out" / "compare.npz") as stored:
        values = dict(stored)
    assert values["guides"].tolist() == ["iaf:steps=1", "full"]
    assert values["seeds"].tolist() == [0, 3]
    assert len(values["rows"]) == 7
    for row in found.runs:
        i, j = values["guides"].tolist().index(row["guide"]), values["seeds"].tolist().index(row["seed"])
        name = f"{row['guide']}-{row['seed']}".replace(":", "_")
        run = pyrovae.load(folder / "out" / name, data=x, device="cpu")
        batch = tuple(tensor[values["rows"]] for tensor in run.split("test"))
        elbo = evaluation.elbo_per_datum(run.pair, batch)
        likelihood = evaluation.log_likelihood(run.pair, batch, 5)
        np.testing.assert_allclose(values["elbo"][i, j], elbo.elbo)
        np.testing.assert_allclose(values["rate"][i, j], elbo.rate)
        np.testing.assert_allclose(values["log_likelihood"][i, j], likelihood.log_likelihood)
        np.testing.assert_allclose(values["ess"][i, j], likelihood.ess)
        np.testing.assert_allclose(values["gap"][i, j], values["log_likelihood"][i, j] - values["elbo"][i, j])
        for key in ("elbo", "log_likelihood", "gap", "rate", "ess"):
            assert row[key] == pytest.approx(values[key][i, j].mean())
        assert row["step_seconds"] == pytest.approx(run.metrics[0]["train_seconds"] / run.metrics[0]["steps"])
        assert row["guide_parameters"] == sum(p.numel() for p in run.pair.guide.parameters()) < row["parameters"]
        assert row["active_units"] == sum(evaluation.diagnose(run.pair, batch).active_units.values())


def test_differences_are_paired(compared):
    found, folder, _ = compared
    values = np.load(folder / "out" / "compare.npz")
    row, base = found.table
    assert base["guide"] == "full" and base["elbo"]["difference"] is None
    for key in ("elbo", "log_likelihood"):
        difference = values[key][0] - values[key][1]
        told = row[key]["difference"]
        assert told["mean"] == pytest.approx(row[key]["mean"] - base[key]["mean"], abs=1e-6)
        assert told["deviation"] == pytest.approx(difference.mean(1).std(ddof=1))
        low, high = told["interval"]
        assert [low, high] == pytest.approx([float(end) for end in evaluation.mean_interval(difference.mean(0))])
        assert low < told["mean"] < high
        apart = row[key]["interval"][1] - row[key]["interval"][0]
        assert high - low < apart / 2  # what the data share is out of it
    assert "difference" not in base["rate"]
    assert base["active_units"]["interval"] is None


def test_compare_json_is_what_is_returned(compared):
    found, folder, _ = compared
    stored = json.loads((folder / "out" / "compare.json").read_text())
    assert stored == json.loads(json.dumps(found.to_json()))
    assert set(stored) == {"model", "baseline", "runs", "table", "setting"}
    assert stored["setting"]["frozen"]["run"] == str(folder / "source")
    assert {path.name for path in (folder / "out").iterdir() if path.is_file()} == {
        *("compare.json", "compare.npz", "compare.png", "posteriors.png")
    }


def test_one_frozen_model_in_every_run(compared):
    found, folder, x = compared
    source = model_of(pyrovae.load(folder / "source", data=x, device="cpu"))
    for row in found.runs:
        name = f"{row['guide']}-{row['seed']}".replace(":", "_")
        assert same(model_of(pyrovae.load(folder / "out" / name, data=x, device="cpu")), source)
    assert not (folder / "out" / "source").exists()


def test_a_new_column_is_in_the_table_and_in_the_files(x, tmp_path, monkeypatch):
    def of_full(scored):
        return scored.elbo.rate if scored.run.recipe.guide == "full" else None

    columns = (
        comparison.Column("half", "half", lambda scored: scored.elbo.elbo / 2, paired=True),
        comparison.Column("none", "none", lambda scored: None, paired=True),
        comparison.Column(
            "some", "some", lambda scored: scored.elbo.elbo if scored.run.recipe.guide == "full" else None
        ),
        comparison.Column("one", "one", lambda scored: 3),
    )
    for module in (comparison.comparing, comparison.table):
        monkeypatch.setattr(module, "COLUMNS", columns)
    found = pyrovae.compare(
        "vae", ("diagonal", "full"), data=x, out=tmp_path / "out", epochs=1, **TINY | {"latent_dim": 3}
    )
    assert found.table[1]["half"]["difference"]["interval"] is not None
    assert found.table[1]["none"] == {"mean": None, "deviation": None, "interval": None, "difference": None}
    assert found.table[0]["some"]["mean"] is None and found.table[1]["some"]["interval"] is not None
    assert found.table[1]["one"]["mean"] == 3
    assert set(np.load(tmp_path / "out" / "compare.npz")) == {"half", "some", "guides", "seeds", "rows"}
    assert not (tmp_path / "out" / "posteriors.png").exists()


def test_a_baseline_that_is_none_of_the_guides_is_refused(x):
    with pytest.raises(UsageError, match="baseline iaf is none of the guides diagonal, full"):
        pyrovae.compare("vae", ("diagonal", "full"), data=x, baseline="iaf", show=False)
    with pytest.raises(UsageError, match="compare needs a model"):
        pyrovae.compare(guides=("diagonal",), data=x, show=False)


def test_a_pair_with_a_global_latent_is_compared_by_what_it_has(x, tmp_path):
    (tmp_path / "own.py").write_text(
        "import pyro, pyro.distributions as dist, torch\nfrom torch import nn\nfrom pyrovae import Pair\n"
        "class Model(nn.Module):\n"
        "    def forward(self, x):\n"
        "        b = pyro.sample('b', dist.Normal(x.new_zeros(6), 1.0).to_event(1))\n"
        "        with pyro.plate('data', len(x), dim=-1):\n"
        "            pyro.sample('x', dist.Normal(b, 1.0).to_event(1), obs=x)\n"
        "class Guide(nn.Module):\n"
        "    def __init__(self, family):\n"
        "        super().__init__()\n"
        "        self.q, self.h = family(2, 6), nn.Parameter(torch.ones(2))\n"
        "    def forward(self, x):\n"
        "        pyro.sample('b', self.q(self.h))\n"
        "def Own(family):\n"
        "    return Pair(Model(), Guide(family))\n"
    )
    found = pyrovae.compare(f"{tmp_path / 'own.py'}:Own", ("diagonal", "full"), data=x, out=tmp_path / "out", **SHORT)
    assert found.table[1]["elbo"]["mean"] is None
    assert found.table[1]["parameters"]["mean"] > found.table[0]["parameters"]["mean"]
    assert (tmp_path / "out" / "compare.png").is_file()


def test_every_guide_is_tried_before_the_first_is_trained(x, tmp_path):
    """The flow has no KL in closed form: nothing is trained, nothing is written."""
    with pytest.raises(UsageError, match="no closed-form KL for site 'z'"):
        pyrovae.compare("vae", ("diagonal", "iaf"), data=x, out=tmp_path / "out", kl="analytic", epochs=1, **TINY)
    assert not (tmp_path / "out").exists()


def test_gaps_of_guides_on_one_model(x, tmp_path, monkeypatch):
    """log p(x) is one number for all guides, annealed once; the rest is each guide's own."""
    module = sys.modules["pyrovae.evaluation.gap"]
    score_quickly(monkeypatch)
    calls, quick = {"ais": 0, "refit": 0}, module.refit

    def ais(*args, **options):
        calls["ais"] += 1
        return evaluation.ais(*args, **options)

    def refit(*args, **options):
        calls["refit"] += 1
        return quick(*args, **options)

    monkeypatch.setattr(module, "ais", ais)
    monkeypatch.setattr(module, "refit", refit)
    pyrovae.fit("vae", data=x, out=tmp_path / "source", epochs=1, **TINY)
    gaps = Gaps(3, samples=30, ais_steps=3, chains=2)
    guides = ("diagonal", "full")
    frozen = pyrovae.compare(guides=guides, data=x, freeze_model=tmp_path / "source", gaps=gaps, show=False)
    assert calls == {"ais": 1, "refit": 2}
    values = frozen.values
    assert values["gap_rows"].shape == (3,)
    assert set(values["gap_rows"]) <= set(values["rows"])
    for key in ("log_p", "ais", "best", "approximation", "amortization"):
        assert values[key].shape == (2, 1, 3)
    np.testing.assert_array_equal(values["log_p"][0], values["log_p"][1])
    np.testing.assert_allclose(values["approximation"], values["log_p"] - values["best"])
    assert (values["best"][0] != values["best"][1]).any()
    own = pyrovae.compare("vae", guides, data=x, gaps=gaps, epochs=1, **TINY)
    assert calls == {"ais": 3, "refit": 4}
    assert (own.values["log_p"][0] != own.values["log_p"][1]).any()
    assert own.setting["gaps"] == {"data": 3, "samples": 30, "ais_steps": 3, "chains": 2}
    with pytest.raises(pyrovae.UsageError, match="gaps = 0: give the number of test data, at least 1"):
        pyrovae.compare("vae", guides, data=x, gaps=0, epochs=1, **TINY)


def test_a_gap_that_cannot_be_had_is_told(x, monkeypatch, capsys):
    def refused(*args, **options):
        raise PyrovaeError("the guide has no parameters")

    monkeypatch.setattr(evaluation, "gap", refused)
    found = pyrovae.compare("vae", ("diagonal",), data=x, gaps=2, epochs=1, **TINY | {"show": True})
    assert found.table[0]["best"]["mean"] is None
    assert "note: no gap: the guide has no parameters" in capsys.readouterr().err
