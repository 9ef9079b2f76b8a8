"""Data with hidden labels, the pair that learns from them, and how well it classifies."""

import dataclasses
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import SMALL, N, case, small
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError, registry
from pyrovae.data import Field
from pyrovae.data.catalogue import load
from pyrovae.data.labelled import chosen, with_labels
from pyrovae.evaluation import accuracy, elbo_per_datum
from pyrovae.generation.draws import sample
from pyrovae.pairs.traces import draw, log_weights, sites

QUICK = {"epochs": 1, "score_samples": 2, "device": "cpu", "show": False} | SMALL["ssvae"]


@pytest.fixture
def data():
    """90 rows, three classes, of which the last is rare."""
    columns = small("images")[1]
    y = torch.tensor([0] * 45 + [1] * 40 + [2] * 5)
    return load({"x": columns["x"].repeat(7, 1, 1, 1)[:90], "y": y[torch.randperm(90)]})


def counts(labels):
    return torch.bincount(labels[labels >= 0], minlength=3).tolist()


def test_labels_are_kept_equally_over_the_classes(data):
    y = data.columns["train"]["y"]
    found = with_labels(data, 9, seed=1)
    kept = found.columns["train"]["y"]
    assert counts(kept) == [3, 3, 3]
    assert torch.equal(kept[kept >= 0], y[kept >= 0])
    assert torch.equal(found.columns["train"]["truth"], y)
    assert found.fields["y"].labelled == found.description["labelled_share"] == 9 / len(y)
    assert found.description["fingerprint"] == data.description["fingerprint"]
    again, other = (
        with_labels(data, 9, seed=1).columns["train"]["y"],
        with_labels(data, 9, seed=2).columns["train"]["y"],
    )
    assert torch.equal(kept, again)
    assert not torch.equal(kept, other)
    assert len(set(counts(with_labels(data, 8, seed=1).columns["train"]["y"]))) == 2
    rare = counts(y)[2]
    assert counts(with_labels(data, 40, seed=1).columns["train"]["y"])[2] == rare  # as many as there are
    assert counts(with_labels(data, None).columns["train"]["y"]) == counts(y)


def test_held_out_labels_are_hidden_and_known_to_the_run_alone(data):
    found = with_labels(data, None)
    for split in ("valid", "test"):
        assert (found.split(split, ("x", "y"))[1] == -1).all()
        assert torch.equal(found.labels(split), data.columns[split]["y"])
    run = pyrovae.fit("ssvae", data=data, **QUICK, labels=9)
    assert torch.equal(run.labels("test"), data.columns["test"]["y"])
    assert torch.from_numpy(run.encode()["y"]).equal(data.columns["test"]["y"])


def test_labelled_rows_are_repeated_up_to_a_share(data):
    n = data.size("train")
    found = with_labels(data, 9, share=0.4)
    y = found.columns["train"]["y"]
    assert found.fields["y"].labelled == pytest.approx((y >= 0).double().mean().item()) == pytest.approx(0.4, abs=1 / n)
    assert found.size("train") == n - 9 + int((y >= 0).sum())
    assert {len(column) for column in found.columns["train"].values()} == {len(y)}
    known, first = y >= 0, with_labels(data, 9).columns["train"]["y"]
    assert torch.equal(y[known], found.columns["train"]["truth"][known])
    assert max(counts(y)) - min(counts(y)) <= 3  # each of the nine as often as the others, or once more
    assert torch.equal(y[:n], first)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": 2}, "labels = 2 leave some of 3 classes without one: give at least 3"),
        ({"labels": 80}, "labels = 80, and the training data 'data' have"),
        ({"labels": 36, "labelled_share": 0.2}, "labelled_share = 0.2, and 0.5 of the training rows are labelled"),
    ],
)
def test_labels_that_cannot_be_kept_are_refused(data, given, message):
    data = dataclasses.replace(data, name="data")
    with pytest.raises(UsageError, match=message):
        pyrovae.fit("ssvae", data=data, **QUICK, **given)


def test_real_conditions_are_no_labels():
    with pytest.raises(UsageError, match="is no class: take other data"):
        pyrovae.fit("ssvae", data=(torch.rand(40, 6), torch.rand(40, 2)), **QUICK)


def test_labels_that_miss_are_not_drawn():
    labels = torch.tensor([-1, 0, -1, 1, 0, 1, -1])
    assert chosen(labels, 2, None, 0, "data").tolist() == [1, 3, 4, 5]
    assert len(chosen(labels, 2, 3, 0, "data")) == 3


@pytest.mark.parametrize("share", [None, 0.5])
def test_the_label_weight_is_of_the_mean_over_labelled_data(data, share):
    """Over one pass: the factors, a row of training, are w times the mean of -log q(y | x) over labelled data."""
    variant = registry.variant("ssvae")
    config = variant.config(**SMALL["ssvae"], labels=9, labelled_share=share, label_weight=0.7)
    found = variant.prepare(config, data)
    pair = variant.build(config, found.named_fields(), registry.family("diagonal"))
    x, y = (found.columns["train"][name] for name in ("x", "y"))
    batch = found.batch({"x": x, "y": y}, ("x", "y"))
    factors = sites(draw(pair.guide, batch), observed=True)["label"]["fn"].log_prob(torch.empty(len(y), 0))
    hidden = sites(draw(pair.guide, [batch[0], torch.full_like(y, -1)]))["y"]["fn"].logits.log_softmax(-1)
    cross = -hidden[torch.arange(len(y)), y.clamp_min(0)]
    assert (factors[y < 0] == 0).all()
    torch.testing.assert_close(factors.mean(), 0.7 * cross[y >= 0].mean())


def test_a_label_clamps_the_guide_and_the_elbo_is_that_of_x_and_y():
    tried = case("ssvae", latent_dim=1)
    pair = tried.pair().eval()
    (x, some), whole = tried.batch, torch.arange(N) % 3
    found, free = (elbo_per_datum(pair, [x, y], draws=2000) for y in (some, torch.full_like(some, -1)))
    known = some >= 0
    with torch.no_grad():
        torch.manual_seed(1)
        drawn = log_weights(pair, [x, some], 2000, {"y": some.clamp_min(0).expand(2000, N)}).mean(0)
    torch.testing.assert_close(found.elbo[known].float(), drawn[known], rtol=0, atol=0.1)
    assert (found.elbo - free.elbo)[known].abs().max() > 0.2
    torch.testing.assert_close(found.elbo[~known], free.elbo[~known], rtol=0, atol=0.1)
    # log p(x, y) from labelled rows adds up to log p(x), the log p(x) of unlabelled ones.
    with torch.no_grad():
        torch.manual_seed(1)
        joint = [log_weights(pair, [x, torch.full_like(whole, k)], 3000).logsumexp(0) for k in range(3)]
        alone = log_weights(pair, [x, torch.full_like(whole, -1)], 9000).logsumexp(0) - math.log(3)
    torch.testing.assert_close(torch.stack(joint).logsumexp(0), alone, rtol=0, atol=0.05)


class Classes(nn.Module):
    """q(y | x) by the sign of x; wrong wherever the label is let in."""

    def __init__(self, first=True):
        super().__init__()
        self.first = first

    def forward(self, x, y):
        with pyro.plate("data", len(x), dim=-1):
            z = None if self.first else pyro.sample("z", dist.Normal(x[:, :1], 0.01).to_event(1))
            sign = (x[:, 0] if z is None else z.squeeze(-1)) > 0
            right = torch.stack([~sign, sign], -1)
            logits = torch.where((y == -1).unsqueeze(-1), right, ~right).float()
            pyro.sample("y", dist.Categorical(logits=logits), infer={"enumerate": "parallel"})
            if self.first:
                pyro.sample("z", dist.Normal(x[:, :1], 0.01).to_event(1))


@pytest.mark.parametrize("first", [True, False])
def test_accuracy_is_of_hidden_labels(first):
    x = torch.tensor([[-1.0], [2.0], [3.0], [-4.0], [-0.5]])
    labels = torch.tensor([0, 1, 0, 0, -1])
    fields = {"x": Field((1,), "real"), "y": Field((), "category", size=2)}
    pair = Pair(Classes(first), Classes(first), inputs=("x", "y"))
    found = accuracy(pair, [x, labels], labels, fields)
    assert (found.accuracy, found.num_data) == (0.75, 4)
    assert found.standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert accuracy(pair, [x, labels], None, fields) is None
    assert accuracy(pair, [x, labels], torch.full((5,), -1), fields) is None
    assert accuracy(pair, [x, labels], labels, fields | {"y": Field((), "category", size=3)}) is None
    tried = case("cvae")
    assert accuracy(tried.pair(), tried.batch, tried.batch[1], tried.fields) is None


def test_a_run_learns_classes_it_has_few_labels_of(tmp_path):
    """Three patterns with noise: three labels of each, and the rest falls into place."""
    torch.manual_seed(0)
    y = torch.arange(600) % 3
    x = torch.where(
        torch.rand(600, 30) < 0.1,
        1 - torch.eye(3).repeat_interleave(10, 1)[y],
        torch.eye(3)[y].repeat_interleave(10, 1),
    )
    options = QUICK | {"epochs": 15, "lr": 0.01, "labels": 9, "labelled_share": 0.3, "label_weight": 1.0}
    run = pyrovae.fit("ssvae", data=(x, y), binarize="none", out=tmp_path / "run", **options | {"batch_size": 60})
    assert run.results["test_accuracy"] > 0.9
    assert run.evaluate(samples=2)["accuracy"] == run.results["test_accuracy"]
    assert run.metrics[-1]["valid_accuracy"] > 0.9
    again = pyrovae.load(tmp_path / "run", data=(x, y))
    assert again.accuracy() == run.accuracy()
    assert again.fields["y"].labelled == run.fields["y"].labelled
    # Each class is its own pattern.
    for k in range(3):
        drawn = run.sample(20, y=k).mean(0)
        assert drawn[10 * k : 10 * k + 10].mean() > 0.5 > drawn.mean()


def test_a_latent_class_can_be_given():
    tried = case("ssvae")
    found = sample(tried.pair(), tried.batch, 6, {"y": torch.arange(6) % 3})
    assert found.sites["y"]["value"].tolist() == [0, 1, 2, 0, 1, 2]
    assert not found.sites["y"]["value"].is_floating_point()
    for wrong in (-1, 3):
        with pytest.raises(UsageError, match=f"y = {wrong} is no class: give a whole number from 0 to 2"):
            sample(tried.pair(), tried.batch, 2, {"y": wrong})


def test_interpolation_keeps_the_class_of_its_first_end():
    tried = case("ssvae")
    batch = [tensor[[1, 5, 9, 1]] for tensor in tried.batch]
    assert (batch[1] >= 0).all()
    found = pyrovae.generation.draws.interpolate(tried.pair(), batch, 4)
    assert found.sites["y"]["value"].tolist() == [batch[1][0]] * 4 + [batch[1][2]] * 4


def test_chains_and_refits_of_a_discrete_latent_are_refused():
    tried = case("ssvae")
    pair = tried.pair()
    with pytest.raises(PyrovaeError, match="site 'y' is discrete: HMC needs gradients; take log_likelihood"):
        pyrovae.evaluation.ais(pair, tried.batch, 2, 2)
    with pytest.raises(PyrovaeError, match=r"sites \['y'\] are drawn without reparametrization"):
        pyrovae.evaluation.refit(pair, tried.batch)
