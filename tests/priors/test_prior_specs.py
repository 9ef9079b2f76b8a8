"""Priors by name: specs and flags, a file more in the folder, a package, one's own file, and a run of an earlier
version."""

import json
import shutil
from pathlib import Path

import plugins
import pytest
import torch
from commands import run

import pyrovae
import pyrovae.priors
from pyrovae import UsageError, registry
from pyrovae.priors import FlowPrior, PriorConfig

KEPT = Path(__file__).parents[1] / "runs" / "kept" / "vae"

QUICK = {"latent_dim": 2, "hidden": (5,), "epochs": 1, "score_samples": 3, "device": "cpu", "show": False}
QUICK |= {"compile": False}

WIDE = '''"""A normal of another scale."""

import pyro.distributions as dist
import torch
from torch import nn


class Wide(nn.Module):
    def __init__(self, features: int, scale: float = 2.0):
        super().__init__()
        self.register_buffer("scale", torch.full((features,), scale), persistent=False)

    def forward(self):
        return dist.Normal(torch.zeros_like(self.scale), self.scale).to_event(1)
'''


@pytest.fixture
def x():
    return torch.bernoulli(torch.full((60, 1, 4, 4), 0.4), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def dropped(tmp_path):
    with plugins.dropped(pyrovae.priors, tmp_path, "wide", WIDE):
        yield


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    with plugins.packaged(pyrovae.priors, tmp_path, "pointed", "Wide", WIDE, monkeypatch):
        yield


def same(one, other):
    pairs = zip(one.pair.parameters(), other.pair.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_names_are_those_of_the_files():
    assert list(registry.describe("priors")) == ["flow", "standard", "vamp"]


@pytest.mark.usefixtures("dropped")
@pytest.mark.parametrize("model", ["vae", "hvae"])
def test_a_file_in_the_folder_is_a_name(x, model, tmp_path):
    assert registry.describe("priors")["wide"] == "A normal of another scale"
    sizes = {"latent_dim": (3, 2), "hidden2": (4,)} if model == "hvae" else {}
    fitted = pyrovae.fit(model, x, out=tmp_path / "run", prior="wide:scale=3", **QUICK | sizes)
    assert fitted.pair.model.prior.scale.tolist() == [3, 3]
    assert pyrovae.load(tmp_path / "run", data=x).pair.model.prior.scale.tolist() == [3, 3]
    assert "wide" in run("fit", "--model", model, "--help").stdout


@pytest.mark.usefixtures("packaged")
def test_an_entry_point_is_a_name(x):
    fitted = pyrovae.fit("vae", x, prior="pointed:scale=3", **QUICK)
    assert fitted.pair.model.prior.scale.tolist() == [3, 3]


def test_ones_own_file_is_run_only_with_trust(x, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(WIDE)
    fitted = pyrovae.fit("vae", x, out=tmp_path / "run", prior=f"{file}:Wide", **QUICK)
    assert fitted.pair.model.prior.scale.tolist() == [2, 2]
    assert same(pyrovae.load(tmp_path / "run", data=x, trust=True), fitted)
    file.write_text(f"open({str(tmp_path / 'marker')!r}, 'w').close()\n" + WIDE)
    for use in (lambda: pyrovae.load(tmp_path / "run"), lambda: pyrovae.fit(resume=tmp_path / "run", show=False)):
        with pytest.raises(UsageError, match="it is only run with trust=True"):
            use()
    assert not (tmp_path / "marker").exists()
    with pytest.raises(UsageError, match=r"name the class or function in it, .*mine\.py:MyPrior"):
        pyrovae.fit("vae", x, prior=str(file), **QUICK)


SAID = (
    ("flow:steps=2:hidden=8", {"prior": "flow", "prior_steps": 2, "prior_hidden": 8}),
    ("flow:hidden=8", {"prior": "flow", "prior_hidden": 8}),
    ("vamp:pseudo_inputs=5", {"prior": "vamp", "pseudo_inputs": 5}),
    ("standard", {}),
)


@pytest.mark.parametrize(("spec", "flags"), SAID, ids=[spec for spec, _ in SAID])
def test_a_spec_is_what_the_flags_say_to_the_last_bit(x, spec, flags):
    one, other = (pyrovae.fit("vae", x, **said, **QUICK) for said in ({"prior": spec}, flags))
    assert same(one, other)
    assert one.results["test_elbo"] == other.results["test_elbo"]
    assert one.recipe.options == other.recipe.options


def test_a_fit_is_resumed_by_either_spelling(x, tmp_path):
    pyrovae.fit("vae", x, out=tmp_path / "run", prior="flow:steps=2", **QUICK)
    for epochs, said in ((2, {"prior": "flow:steps=2"}), (3, {"prior": "flow", "prior_steps": 2})):
        again = pyrovae.fit(data=x, resume=tmp_path / "run", epochs=epochs, show=False, **said)
        assert len(again.metrics) == epochs
    with pytest.raises(UsageError, match="prior_steps = 2 contradicts prior flow:steps=3, which has steps = 3"):
        pyrovae.fit(data=x, resume=tmp_path / "run", show=False, prior="flow:steps=3")


def test_what_contradicts_is_told_in_one_sentence():
    result = run("fit", "--model", "vae", "--prior", "flow:steps=3", "--prior-steps", "4")
    assert result.exit_code == 2
    assert "prior_steps = 4 contradicts prior flow:steps=3, which has steps = 3: leave one of them out" in result.stderr
    agreed = PriorConfig(prior="flow:steps=4", prior_steps=4)
    assert (agreed.prior, agreed.prior_steps) == ("flow", 4)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("vam", "there is no prior 'vam': did you mean 'vamp'?"),
        ("choose", r"there is no prior 'choose' \(there is: flow, standard, vamp\)"),
        ("flow:step=1", "prior flow has no option 'step': did you mean 'steps'?"),
        ("flow:steps=0", "prior flow: steps = '0': input should be greater than or equal to 1"),
        ("standard:steps=1", "prior standard has no option 'steps'"),
    ],
)
def test_a_wrong_spec_is_told(spec, sentence):
    with pytest.raises(UsageError, match=sentence):
        pyrovae.fit("vae", "no_such_data.npy", prior=spec, **QUICK)


def test_a_prior_of_the_model_itself_is_no_name(x):
    fitted = pyrovae.fit("cvae", (x, torch.zeros(60, 2)), prior="standard", **QUICK)
    assert fitted.recipe.options.prior == "standard"
    assert "'vamp' is not one of 'conditional', 'standard'" in run("fit", "--model", "cvae", "--prior", "vamp").stderr


def test_a_run_of_an_earlier_version_has_the_options_it_had(tmp_path):
    options = json.loads((KEPT / "run.json").read_text())["recipe"]["options"]
    loaded = pyrovae.load(shutil.copytree(KEPT, tmp_path / "vae"))
    assert loaded.recipe.options.model_dump(mode="json") == options
    assert isinstance(loaded.pair.model.prior, FlowPrior)
    assert len(loaded.pair.model.prior.flows.nets) == options["prior_steps"] == 2
    assert loaded.pair.model.likelihood.scale == "fixed"
