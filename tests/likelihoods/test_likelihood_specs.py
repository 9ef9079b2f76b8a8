"""Likelihoods by name: specs and flags, a file more in the folder, a package, one's own file, and trust."""

import json
from pathlib import Path

import plugins
import pytest
import torch
from commands import run

import pyrovae
import pyrovae.likelihoods
from pyrovae import PyrovaeError, UsageError, registry
from pyrovae.likelihoods import LikelihoodConfig

QUICK = {"latent_dim": 2, "hidden": (5,), "epochs": 1, "score_samples": 3, "device": "cpu", "show": False}
QUICK |= {"compile": False, "binarize": "none"}

LAPLACE = '''"""Laplace with one fixed width."""

from typing import Annotated

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from torch import nn


class Laplace(nn.Module):
    outputs = 1

    def __init__(self, field, at_mean=True, width: Annotated[float, Option(gt=0)] = 1.0):
        super().__init__()
        self.dims, self.at_mean, self.width = len(field.shape), at_mean, width

    def forward(self, h, mask=None):
        pixels = dist.Laplace(h, torch.as_tensor(self.width))
        return (pixels if mask is None else pixels.mask(mask)).to_event(self.dims)

    def bias(self, field):
        return field.mean if self.at_mean else None
'''


@pytest.fixture
def x():
    return torch.rand(60, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def dropped(tmp_path):
    with plugins.dropped(pyrovae.likelihoods, tmp_path, "laplace", LAPLACE):
        yield


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    with plugins.packaged(pyrovae.likelihoods, tmp_path, "pointed", "Laplace", LAPLACE, monkeypatch):
        yield


def weights(run):
    return [parameter.detach() for parameter in run.pair.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_the_names_are_those_of_the_files_and_no_helper_is_one():
    assert list(registry.describe("likelihoods")) == ["auto", "bce", "bernoulli", "normal"]
    assert registry.describe("likelihoods")["auto"] == "Bernoulli for binary data, else Normal"


@pytest.mark.usefixtures("dropped")
def test_a_file_in_the_folder_is_a_name(x, tmp_path):
    assert registry.describe("likelihoods")["laplace"] == "Laplace with one fixed width"
    assert "helper" not in registry.describe("likelihoods")
    fitted = pyrovae.fit("vae", x, out=tmp_path / "run", likelihood="laplace:width=0.25", **QUICK)
    assert fitted.pair.model.likelihood.width == 0.25
    assert "laplace" in run("fit", "--model", "vae", "--help").stdout
    again = pyrovae.load(tmp_path / "run", data=x)
    assert again.pair.model.likelihood.width == 0.25
    with pytest.raises(UsageError, match=r"likelihood laplace: width = '0': input should be greater than 0"):
        pyrovae.fit("vae", x, likelihood="laplace:width=0", **QUICK)
    with pytest.raises(UsageError, match=r"likelihood laplace has no option 'widht': did you mean 'width'"):
        pyrovae.fit("vae", x, likelihood="laplace:widht=1", **QUICK)


@pytest.mark.usefixtures("packaged")
def test_an_entry_point_is_a_name(x):
    assert registry.describe("likelihoods")["pointed"] == "from a_package_with_pointed:Laplace"
    fitted = pyrovae.fit("cvae", (x, torch.zeros(60, 2)), likelihood="pointed:width=3", **QUICK)
    assert fitted.pair.model.likelihood.width == 3


def test_ones_own_file_is_run_only_with_trust(x, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.py"
    file.write_text(LAPLACE)
    spec = "mine.py:Laplace:width=2"
    fitted = pyrovae.fit("vae", x, out="run", likelihood=spec, **QUICK)
    assert fitted.pair.model.likelihood.width == 2
    content = json.loads(Path("run/run.json").read_text())
    assert content["recipe"]["options"]["likelihood"] == spec
    assert list(content["code"]) == ["mine.py:Laplace"]
    assert same(pyrovae.load("run", data=x, trust=True), fitted)
    file.write_text("open('marker', 'w').close()\n" + LAPLACE)
    with pytest.raises(UsageError, match=r"made with your own code, mine.py:Laplace: it is only run with trust=True"):
        pyrovae.load("run", data=x)
    pyrovae.load("run", data=x, pair=fitted.pair)
    assert "changed since the run was made" in run("inspect", "run").stdout
    assert not Path("marker").exists()
    with pytest.raises(UsageError, match=r"mine\.py has no 'Laplac'"):
        pyrovae.fit("vae", "no_such_data.npy", likelihood="mine.py:Laplac", **QUICK)


SAID = (
    ("normal:scale=fixed:sigma=0.2", {"likelihood": "normal", "scale": "fixed", "sigma": 0.2}),
    ("normal:scale=pixel", {"likelihood": "normal", "scale": "pixel"}),
    ("auto:sigma=0.1", {"sigma": 0.1}),
    ("normal", {"likelihood": "normal"}),
)


@pytest.mark.parametrize(("spec", "flags"), SAID, ids=[spec for spec, _ in SAID])
def test_a_spec_is_what_the_flags_say_to_the_last_bit(x, spec, flags):
    one = pyrovae.fit("vae", x, likelihood=spec, **QUICK)
    other = pyrovae.fit("vae", x, **flags, **QUICK)
    assert same(one, other)
    assert one.results["test_elbo"] == other.results["test_elbo"]
    assert one.recipe.options == other.recipe.options
    assert registry.variant("vae").config(**one.recipe.options.model_dump()) == one.recipe.options


def test_a_flag_that_says_the_same_or_nothing_agrees():
    for flags in ({}, {"scale": "fixed"}, {"sigma": 3}):
        config = LikelihoodConfig(likelihood="normal:scale=fixed:sigma=3.0", **flags)
        assert (config.likelihood, config.scale, config.sigma) == ("normal", "fixed", 3.0)


def test_what_contradicts_is_told_in_one_sentence(x):
    # The default given by name is given.
    for flag in ("fixed", "learned"):
        with pytest.raises(UsageError) as told:
            pyrovae.fit("vae", x, likelihood="normal:scale=pixel", scale=flag, **QUICK)
        assert str(told.value) == (
            f"scale = '{flag}' contradicts likelihood normal:scale=pixel, which has scale = 'pixel': "
            f"leave one of them out"
        )
    result = run("fit", "--model", "vae", "--likelihood", "normal:sigma=2", "--sigma", "0.5")
    assert result.exit_code == 2
    assert "sigma = 0.5 contradicts likelihood normal:sigma=2, which has sigma = 2.0" in result.stderr


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("norml", "there is no likelihood 'norml': did you mean 'normal'?"),
        ("tokens", r"there is no likelihood 'tokens' \(there is: auto, bce, bernoulli, normal\)"),
        ("normal:scal=fixed", "likelihood normal has no option 'scal': did you mean 'scale'?"),
        ("normal:fixed", "likelihood normal:fixed: 'fixed' is no OPTION=VALUE"),
        ("normal:sigma=1:sigma=2", "an option is given twice"),
        ("sigma=1", "likelihood sigma=1 names no likelihood: write auto:option=value"),
        ("normal:sigma=0", "likelihood normal: sigma = '0': input should be greater than 0"),
        ("os:getcwd", r"os:getcwd is no likelihood: it must be a class or function of \(field, ...\)"),
        ("", "likelihood|there is no"),
    ],
)
def test_a_wrong_spec_is_told_before_data_are_read(spec, sentence):
    with pytest.raises(UsageError, match=sentence) as told:
        pyrovae.fit("vae", "no_such_data.npy", likelihood=spec, **QUICK)
    assert "\n" not in str(told.value)


def test_what_is_no_likelihood_is_told(x, tmp_path):
    (tmp_path / "mine.py").write_text("class Bare:\n    def __init__(self, field): ...\n")
    with pytest.raises(PyrovaeError, match="gives a Bare without 'outputs'"):
        pyrovae.fit("vae", x, likelihood=f"{tmp_path}/mine.py:Bare", **QUICK)
    with pytest.raises(UsageError, match="takes no at_mean, so it has no output_bias='zero'"):
        pyrovae.fit("vae", x, likelihood=f"{tmp_path}/mine.py:Bare", output_bias="zero", **QUICK)
