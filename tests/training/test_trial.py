"""What is tried of a pair of the user's own before it trains."""

import functools

import plugins
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import pyrovae
from pyrovae import Pair, PyrovaeError
from pyrovae.training import fit as fitting

SHORT = {"epochs": 1, "score_samples": 2, "device": "cpu", "show": False}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.decoder = nn.Linear(2, 6)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 0.5).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 8), norm, nn.Linear(8, 4))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            loc, raw = self.encoder(x).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, softplus(raw) + 0.01).to_event(1))


def data(train):
    x = torch.randn(train + 10, 6)
    return {"train": x[:train], "valid": x[train : train + 5], "test": x[train + 5 :]}


def test_batch_normalization_and_a_last_batch_of_one_are_told_before_training():
    with pytest.raises(
        PyrovaeError, match=r"an epoch has a batch of one datum.*Expected more than 1 value.* batch_size"
    ):
        pyrovae.fit(Pair(Model(), Guide(nn.BatchNorm1d(8))), data=data(33), batch_size=16, **SHORT)
    pyrovae.fit(Pair(Model(), Guide(nn.BatchNorm1d(8))), data=data(34), batch_size=16, **SHORT)
    pyrovae.fit(Pair(Model(), Guide(nn.LayerNorm(8))), data=data(33), batch_size=16, **SHORT)


@pytest.mark.parametrize("name", ["guide.encoder.1.running_var", "model.decoder.weight"])
def test_a_pair_that_comes_with_nan_is_told_by_its_tensor(name):
    pair = Pair(Model(), Guide(nn.BatchNorm1d(8)))
    pair.state_dict()[name].fill_(torch.nan)
    with pytest.raises(PyrovaeError, match=rf"never reached a finite held-out ELBO.*: {name} of the pair holds NaN"):
        pyrovae.fit(pair, data=data(34), **SHORT)


@pytest.mark.parametrize(("size", "microbatch", "one"), [(32, 1, True), (32, 31, True), (32, 16, False), (33, 8, True)])
def test_a_microbatch_of_one_is_told_before_training(size, microbatch, one):
    fit = functools.partial(
        pyrovae.fit, Pair(Model(), Guide(nn.BatchNorm1d(8))), batch_size=size, microbatch=microbatch, **SHORT
    )
    if one:
        with pytest.raises(PyrovaeError, match=r"a piece of one.*Expected more than 1 value.* or microbatch"):
            fit(data=data(64 if size == 32 else 66))
    else:
        fit(data=data(64))


@pytest.mark.parametrize("own", [False, True])
def test_pairs_that_pyrovae_brings_are_not_tried(own, monkeypatch):
    seen = []
    monkeypatch.setattr(fitting, "tried", lambda *given: seen.append(given) or [])
    model = (lambda: Pair(Model(), Guide(nn.Tanh()))) if own else "vae"
    run = pyrovae.fit(model, data=data(33), **SHORT)
    assert (len(seen), run.pair.own) == (own, own)


def test_a_trial_leaves_the_fit_as_it_was(monkeypatch):
    def weights():
        torch.manual_seed(0)
        pair = Pair(Model(), Guide(nn.BatchNorm1d(8)))
        return pyrovae.fit(pair, data=data(34), **SHORT).pair.state_dict()

    tried = weights()
    monkeypatch.setattr(fitting, "tried", lambda *given: [])
    for name, tensor in weights().items():
        assert torch.equal(tensor, tried[name]), name


PRIOR = "from pyrovae.priors.standard import standard\n\n\ndef mine(features):\n    return standard(features)\n"


def own(**options):
    variant = pyrovae.registry.variant("vae")
    fields, family = {"x": pyrovae.data.Field((6,), "real")}, pyrovae.registry.family("diagonal")
    return variant.build(variant.config(**options), fields, family).own


def test_a_pair_of_which_a_part_is_no_file_of_pyrovae_is_tried(tmp_path, monkeypatch):
    assert own() is False
    (tmp_path / "mine.py").write_text(PRIOR)
    assert own(prior=f"{tmp_path / 'mine.py'}:mine")
    with plugins.packaged(pyrovae.priors, tmp_path, "theirs", "mine", PRIOR, monkeypatch):
        assert own(prior="theirs")


def test_data_of_another_width_are_told_with_their_shape():
    says = r"the pair does not run on these data, whose shapes are x \(5,\): RuntimeError: mat1 and mat2"
    with pytest.raises(PyrovaeError, match=says):
        pyrovae.fit(Pair(Model(), Guide(nn.Tanh())), data=torch.randn(40, 5), **SHORT)


class NoLeft(Model):
    """It expands by the number of data, and so takes no particles."""

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z.expand(len(x), 2)), 0.5).to_event(1), obs=x)


def test_a_pair_that_takes_no_particles_trains_and_is_told_that_it_has_no_log_likelihood(capsys):
    run = pyrovae.fit(Pair(NoLeft(), Guide(nn.Tanh())), data=torch.randn(40, 6), **SHORT | {"show": None})
    assert run.results["log_likelihood"] is None
    (warning,) = [each for each in run.results["warnings"] if "particles" in each]
    assert "the pair does not run with particles" in warning
    told = capsys.readouterr().err
    assert told.index("warning: the pair does not run with particles") < told.index("epoch 1/1")
    assert "note: no log-likelihood: the pair does not run with particles" in told
    with pytest.raises(PyrovaeError, match=r"does not run with particles.*act on the last dims"):
        run.log_likelihood(10)
