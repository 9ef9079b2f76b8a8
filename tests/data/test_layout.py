"""The axes of arrays: as they are for a pair of one's own, images for the models here, and as it was for old runs."""

import numpy as np
import pytest
import torch
from commands import done, run, the_error
from PIL import Image

import pyrovae
from pyrovae.data import DataConfig
from pyrovae.data.catalogue import load
from pyrovae.runs import data as rundata

draw = np.random.default_rng(0)
QUICK = {"epochs": 1, "device": "cpu", "show": False, "score_samples": 2}
OWN = """
import pyro, torch
import pyro.distributions as dist
from torch import nn
import pyrovae


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            loc = (self.bias + z.sum(-1))[(...,) + (None,) * (x.dim() - 1)].expand(*z.shape[:-1], *x.shape[1:])
            pyro.sample("x", dist.Normal(loc, 1.0).to_event(x.dim() - 1), obs=x)


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.loc, 1.0).expand([len(x), 2]).to_event(1))


def Own():
    return pyrovae.Pair(Model(), Guide())
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that makes a pair, and its name in a file."""
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(OWN, space)
    return space["Own"], f"{tmp_path / 'mine.py'}:Own"


SHAPES = {
    "numbers": ((40,), (1,)),
    "vectors": ((40, 5), (5,)),
    "sequences": ((40, 9, 3), (9, 3)),
    "channels-last": ((40, 4, 5, 3), (4, 5, 3)),
    "volumes": ((40, 2, 3, 4, 5), (2, 3, 4, 5)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_pair_of_ones_own_gets_the_axes_that_arrays_have(own, tmp_path, name):
    given, shape = SHAPES[name]
    array = draw.normal(size=given).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", x=array)
    make, file = own
    for data, options in ((array, {}), ("a.npy", {}), ("a.npy", {"stream": True, "workers": 0}), ("b.npz", {})):
        for model in (make, make(), file)[: 3 if data is array else 1]:
            fitted = pyrovae.fit(model, data=data, **options, **QUICK)
            assert fitted.fields["x"].shape == shape
            (test,) = fitted.split("test")
            assert test.shape == (4, *shape)
            rows = {tuple(row) for row in array.reshape(40, -1).tolist()}
            assert {tuple(row) for row in test.flatten(1).tolist()} <= rows


def test_images_remain_a_choice(own):
    make, _ = own
    array = draw.normal(size=(40, 9, 3))
    assert pyrovae.fit(make, data=array, layout="image", **QUICK).fields["x"].shape == (1, 9, 3)
    pixels = draw.integers(0, 256, (40, 6, 5)).astype(np.uint8)
    fitted = pyrovae.fit(make, data=pixels, layout="image", **QUICK)
    assert (fitted.fields["x"].shape, fitted.fields["x"].kind) == ((1, 6, 5), "unit")
    assert pyrovae.fit(make, data=pixels, image_size=3, **QUICK).fields["x"].shape == (1, 3, 3)
    fitted = pyrovae.fit(make, data=pixels, **QUICK)
    assert (fitted.fields["x"].shape, fitted.fields["x"].kind) == ((6, 5), "real")
    assert fitted.description["notes"] == [
        "x is taken as it is, whole numbers (32, 6, 5); layout='image' takes it for images"
    ]
    with pytest.raises(pyrovae.UsageError, match=r"image_size=3: data .* keep their axes, .*: give layout='image'"):
        pyrovae.fit(make, data=pixels, layout="given", image_size=3, **QUICK)


def test_what_is_known_for_images_is_one_for_every_pair(own, tmp_path):
    make, _ = own
    (tmp_path / "photos").mkdir()
    for i in range(12):
        Image.fromarray(draw.integers(0, 256, (6, 5)).astype(np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    assert pyrovae.fit(make, data="photos", **QUICK).fields["x"].shape == (1, 6, 5)
    assert pyrovae.fit(make, data="digits", limit_train=20, **QUICK).fields["x"].shape == (1, 8, 8)


def test_the_models_here_get_images_as_before():
    array = draw.random((40, 6, 5))
    assert load(array).fields["x"].shape == (1, 6, 5)
    fitted = pyrovae.fit("vae", data=array, latent_dim=2, hidden=(4,), **QUICK)
    assert fitted.fields["x"].shape == (1, 6, 5)
    assert load(array, DataConfig(layout="given")).fields["x"].shape == (6, 5)


def test_a_run_is_read_as_it_was(own, tmp_path):
    """By what its description says; those of earlier versions do not, and had images."""
    _, file = own
    array = draw.normal(size=(40, 9, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    for layout, shape in ((None, (9, 3)), ("image", (1, 9, 3))):
        given = {} if layout is None else {"layout": layout}
        fitted = pyrovae.fit(file, data="a.npy", out=tmp_path / f"run-{layout}", **given, **QUICK)
        loaded = pyrovae.load(tmp_path / f"run-{layout}", device="cpu", trust=True)
        assert loaded.split("test")[0].shape[1:] == shape
        assert torch.equal(loaded.split("test")[0], fitted.split("test")[0])
        more = pyrovae.fit(resume=tmp_path / f"run-{layout}", epochs=2, device="cpu", show=False, trust=True)
        assert more.split("test")[0].shape[1:] == shape
    before = {name: value for name, value in fitted.description.items() if name != "layout"}
    assert rundata.data_of(fitted.recipe, before).fields["x"].shape == (1, 9, 3)


def test_on_the_command_line(own, tmp_path):
    np.save(tmp_path / "a.npy", draw.normal(size=(40, 9, 3)))
    fit = ("fit", "--model", "mine.py:Own", "--data", "a.npy", "--epochs", 1, "--device", "cpu", "--score-samples", 2)
    done(*fit, "--out", "one")
    done(*fit, "--out", "two", "--layout", "image")
    shapes = [pyrovae.load(name, device="cpu", trust=True).fields["x"].shape for name in ("one", "two")]
    assert shapes == [(9, 3), (1, 9, 3)]
    done("loglik", "one", "--trust", "--samples", 2)
    for words in ((), ("--layout", "image")):
        assert run("check", "mine.py:Own", "--data", "a.npy", *words).exit_code == 0
    result = run(*fit, "--layout", "text", "--out", "three")
    assert result.exit_code == 2
    assert "'image', 'given'" in the_error(result.stderr)
