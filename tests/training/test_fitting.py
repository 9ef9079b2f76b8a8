"""What `fit` scores, what `compare` compares, and what both refuse."""

import re
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from pages import ROOT, Page
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError, evaluation
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load
from pyrovae.reproduction import recipes
from pyrovae.reproduction.reproducing import reproduce
from pyrovae.runs import tensors
from pyrovae.runtime.progress import progress
from pyrovae.runtime.ranks import World

TINY = {"epochs": 1, "score_samples": 3, "device": "cpu", "show": False}
VAE = TINY | {"latent_dim": 2, "hidden": (6,), "held_out": 24}
ROWS = [0, 8, 15, 23]  # four of 24, evenly


@pytest.fixture
def x():
    """60 data in an order that means something; 24 of them are of the test split."""
    return torch.bernoulli(torch.linspace(0.02, 0.6, 60).reshape(60, 1, 1, 1).expand(60, 1, 4, 4))


def test_scored_data_are_evenly_spaced_and_their_elbo_is_told(x):
    run = pyrovae.fit("vae", data=x, score_limit=4, **VAE)
    part = tuple(tensor[ROWS] for tensor in run.split("test"))
    assert run.results["scored_elbo"] == pytest.approx(evaluation.elbo(run.pair, part)["elbo"], rel=1e-6)
    assert run.results["test_elbo"] == pytest.approx(evaluation.elbo(run.pair, run.split("test"))["elbo"], rel=1e-6)
    assert abs(run.results["scored_elbo"] - run.results["test_elbo"]) > 1e-3
    exact = evaluation.log_likelihood(run.pair, part, 3).summary()
    assert run.results["num_data"] == 4
    assert run.results["log_likelihood"] == pytest.approx(exact["log_likelihood"], rel=1e-6)


def test_no_elbo_of_the_scored_where_all_are_scored(x):
    run = pyrovae.fit("vae", data=x, score_limit=24, **VAE)
    assert "scored_elbo" not in run.results
    assert run.results["num_data"] == 24


def test_compare_scores_one_set_of_data(x, tmp_path):
    found = pyrovae.compare("vae", ("diagonal", "full"), data=x, out=tmp_path / "out", score_limit=4, **VAE)
    for row in found.runs:
        run = pyrovae.load(tmp_path / "out" / f"{row['guide']}-0", data=x, device="cpu")
        part = tuple(tensor[ROWS] for tensor in run.split("test"))
        scores = evaluation.elbo_per_datum(run.pair, part)
        assert row["elbo"] == pytest.approx(scores.elbo.mean().item(), rel=1e-6)
        assert row["rate"] == pytest.approx(scores.rate.mean().item(), rel=1e-5)
        assert row["log_likelihood"] == run.results["log_likelihood"]
        assert abs(row["elbo"] - row["log_likelihood"]) > 1e-3
        assert abs(row["elbo"] - run.results["test_elbo"]) > 1e-3


class Model(nn.Module):
    def __init__(self, site="x"):
        super().__init__()
        self.decoder, self.site = nn.Linear(2, 6), site

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample(self.site, dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(6, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.encoder(x), 1.0).to_event(1))


OWN = """
import sys
sys.path.insert(0, {tests!r})
from test_fitting import Guide, Model
from pyrovae import Pair

pair = Pair(Model(), Guide())


def weighted(beta: float = 2.0):
    return Pair(Model(), Guide())
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    file = tmp_path / "own.py"
    file.write_text(OWN.format(tests=str(Path(__file__).parent)))
    return str(file)


def test_a_pair_in_a_file_is_another_one_at_every_use(own, tmp_path):
    vectors = torch.randn(40, 6)
    first = pyrovae.fit(f"{own}:pair", data=vectors, out=tmp_path / "run", **TINY)
    before = {name: tensor.clone() for name, tensor in tensors.weights(first.pair).items()}
    a, b = (pyrovae.load(tmp_path / "run", data=vectors, device="cpu", trust=True).pair for _ in range(2))
    second = pyrovae.fit(f"{own}:pair", data=vectors, seed=1, lr=0.1, **TINY)
    pairs = [first.pair, a, b, second.pair]
    addresses = [parameter.data_ptr() for pair in pairs for parameter in pair.parameters()]
    assert len({id(pair) for pair in pairs}) == 4
    assert len(set(addresses)) == len(addresses)
    for pair in pairs[:3]:  # the second fit has moved its own alone
        assert all(torch.equal(tensor, before[name]) for name, tensor in tensors.weights(pair).items())
    assert not torch.equal(second.pair.model.decoder.weight, before["model.decoder.weight"])


def test_an_option_of_ones_own_with_the_name_of_a_training_option_is_refused(own):
    with pytest.raises(UsageError, match="beta") as told:
        pyrovae.fit(f"{own}:weighted", data=torch.randn(40, 6), **TINY)
    assert "\n" not in str(told.value)


def test_the_factory_of_the_readme_takes_other_features(tmp_path):
    (code,) = [block.text for block in Page(ROOT / "README.md").blocks if block.saved == "my_model.py"]
    (tmp_path / "my_model.py").write_text(code, encoding="utf-8")
    run = pyrovae.fit(f"{tmp_path / 'my_model.py'}:MyVAE", data=torch.randn(40, 6), features=6, **TINY)
    assert run.pair.model.decoder[-1].out_features == 6
    assert run.sample(3).shape == (3, 6)


def test_data_under_a_name_that_is_no_field_are_refused_before_training(tmp_path, monkeypatch):
    def step(*args):
        raise AssertionError("trained")

    monkeypatch.setattr("pyrovae.training.loop.Step", step)
    with pytest.raises(PyrovaeError, match="pixels") as told:
        pyrovae.fit(Pair(Model("pixels"), Guide()), data=torch.randn(40, 6), out=tmp_path / "run", **TINY)
    assert "\n" not in str(told.value)
    assert not (tmp_path / "run").exists()


def test_options_of_data_are_refused_where_a_dataset_is_given(x):
    with pytest.raises(UsageError, match=r"limit.train"):
        pyrovae.fit("vae", data=load(x, DataConfig()), limit_train=5, **TINY)
    pyrovae.fit("vae", data=load(x, DataConfig()), **TINY, latent_dim=2, hidden=(6,))


def test_one_input_may_be_given_as_a_name():
    assert Pair(Model(), Guide(), inputs="x").inputs == ("x",)
    assert Pair(Model(), Guide(), inputs="label").inputs == ("label",)
    assert Pair(Model(), Guide(), inputs=["x", "y"]).inputs == ("x", "y")


def test_a_run_on_a_dataset_is_loaded_with_that_dataset(tmp_path):
    dataset = load(torch.randn(60, 6), DataConfig(held_out=0.2))
    run = pyrovae.fit(Pair(Model(), Guide()), data=dataset, out=tmp_path / "run", epochs=1, show=False)
    again = pyrovae.load(tmp_path / "run", pair=Pair(Model(), Guide()), data=dataset)
    assert torch.equal(again.split("test")[0], run.split("test")[0])


class Flat(nn.Module):
    """A model, or a guide, of data of 16 pixels with one weight."""

    def __init__(self, observes):
        super().__init__()
        self.weight, self.observes = nn.Parameter(torch.randn(1, 16)), observes

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            if not self.observes:
                pyro.sample("z", dist.Normal(x.flatten(1) @ self.weight.T, 1.0).to_event(1))
                return
            z = pyro.sample("z", dist.Normal(torch.zeros(1), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(z @ self.weight, 1.0).to_event(1), obs=x.flatten(1))


def flat():
    return Pair(Flat(True), Flat(False))


def test_a_function_gives_the_pair_and_its_weights_follow_from_the_seed(x, tmp_path):
    data = x.flatten(1)
    runs = [pyrovae.fit(flat, data=data, seed=seed, **TINY) for seed in (3, 3, 4)]
    first, again, other = (tensors.weights(run.pair) for run in runs)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    pyrovae.fit(flat, data=data, out=tmp_path / "run", **TINY)
    longer = pyrovae.fit(flat, data=data, resume=tmp_path / "run", epochs=2, show=False)
    assert len(longer.metrics) == 2


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda size: flat(), "missing a required argument: 'size': give it a default, or take `fields`"),
        (lambda: Flat(True), "gives a Flat, and must give a pyrovae.Pair"),
        (Flat(True), "the model is of type Flat: give a name"),
        (3, "the model is of type int: give a name"),
    ],
)
def test_what_gives_no_pair_is_refused(x, model, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        pyrovae.fit(model, data=x.flatten(1), **TINY)


@pytest.mark.parametrize(
    ("n", "batch_size", "says"),
    [
        (40, 1, "3 processes train on batches of 1 data, at least one each is needed: give batch_size=3 or more"),
        (3, None, "3 processes train on batches of . data, at least one each is needed: start fewer processes"),
        (7, 3, "3 processes score 1 held-out data, at least one each is needed: start fewer"),
    ],
)
def test_fewer_data_than_processes_are_refused_before_anything_is_written(tmp_path, monkeypatch, n, batch_size, says):
    monkeypatch.setattr("pyrovae.training.order.world", lambda: World(0, 3))
    monkeypatch.setattr("pyrovae.training.fit.train", lambda *args, **options: pytest.fail("it trains"))
    options = {"epochs": 1, "latent_dim": 2, "hidden": (4,), "batch_size": batch_size}
    with pytest.raises(UsageError, match=says):
        pyrovae.fit("vae", data=torch.randn(n, 5), out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_what_several_processes_would_write_to_one_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    (recipe, *_) = (recipe for name in recipes.names() for recipe in recipes.find(name))
    says = "is for one process, and torchrun has started 2: leave torchrun out"
    with pytest.raises(UsageError, match=f"compare {says}"):
        pyrovae.compare("vae", ("diagonal",), data=torch.randn(40, 5), out=tmp_path / "both", epochs=1)
    with pytest.raises(UsageError, match=f"reproduce {says}"):
        reproduce(recipe, tmp_path / "both", progress(False), "quick")
    assert not (tmp_path / "both").exists()
