"""What is given to a run that generates: numbers, and classes by their names; what stands beside what comes back."""

import csv

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from commands import done, run
from torch import nn

import pyrovae
from pyrovae import PyrovaeError, UsageError

TINY = {"epochs": 1, "latent_dim": 2, "hidden": (4,), "score_samples": 2, "device": "cpu", "show": False}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """p(x | y) of vectors, with classes that have names."""
    draw = np.random.default_rng(0)
    data = {"x": draw.normal(size=(60, 3)).astype("float32"), "y": draw.choice(["cat", "dog"], 60)}
    return pyrovae.fit("cvae", data=data, out=tmp_path_factory.mktemp("given") / "run", **TINY)


def test_a_class_may_be_given_by_its_name(fitted):
    assert torch.equal(fitted.sample(4, y="dog"), fitted.sample(4, y=1))
    assert not torch.equal(fitted.sample(4, y="dog"), fitted.sample(4, y="cat"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"y": "dgo"}, "y = dgo is no class of this run: did you mean 'dog'?"),
        ({"y": 7}, r"y = 7 is no class \(cat, dog\): give a whole number from 0 to 1"),
        ({"z": "dog"}, "z = dog: give a number, or a vector"),
    ],
)
def test_what_is_no_class_is_told_the_classes(fitted, given, says):
    with pytest.raises(UsageError, match=says):
        fitted.sample(4, **given)


def test_on_the_command_line_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("pets.npz", x=np.random.default_rng(0).normal(size=(60, 3)), y=np.repeat(["cat", "dog"], 30))
    options = ("--epochs", "1", "--latent-dim", "2", "--hidden", "4", "--score-samples", "2", "--device", "cpu")
    done("fit", "--model", "cvae", "--data", "pets.npz", *options, "--out", "pets", "--quiet")
    done("sample", "pets", "--given", "y=dog", "-n", "4", "--out", "named.csv")
    done("sample", "pets", "--given", "y=1", "-n", "4", "--out", "numbered.csv")
    assert (tmp_path / "named.csv").read_text() == (tmp_path / "numbered.csv").read_text()
    assert "did you mean 'dog'" in run("sample", "pets", "--given", "y=dgo", "--out", "a.csv").stderr
    done("reconstruct", "pets", "-n", "3", "--out", "back.csv")
    with open("back.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["0", "1", "2"]


def test_a_field_that_is_not_read_is_named(fitted):
    with pytest.raises(PyrovaeError, match="reads the field 'x', and data 'arrays' have only z: give it, too"):
        fitted.on({"z": np.zeros((5, 3))})


def test_a_fit_that_was_lost_from_the_first_epoch_is_told_so_and_nothing_else(capsys):
    pyrovae.fit("vae", data=torch.randn(60, 3), **TINY | {"epochs": 2, "lr": 1e9, "show": True})
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert [each for each in warnings if "far worse than an independent Gaussian" in each and "lower lr" in each]
    assert not any("does not read z" in each or "is worse than" in each for each in warnings)


def test_data_that_are_read_from_the_disk_are_told_so(tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(60, 3)).astype("float32"))
    pyrovae.fit("vae", data=tmp_path / "rows.npy", stream=True, **TINY | {"show": True})
    assert "rows.npy, 48 train (read from the disk), 6 valid, 6 test" in capsys.readouterr().err


class Flat(nn.Module):
    """Images as vectors, as in Pyro's tutorial."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Linear(2, 64)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            flat = x.reshape(-1, 64)
            pyro.sample("x", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=flat)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(64, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.encoder(x.reshape(-1, 64)), 1.0).to_event(1))


def test_images_that_a_pair_observes_as_vectors_are_shown_as_images(tmp_path):
    run = pyrovae.fit(lambda: pyrovae.Pair(Flat(), Encoder()), data="digits", epochs=1, score_samples=2, show=False,
                      device="cpu", binarize="threshold", out=tmp_path / "run")  # fmt: skip
    assert run.status == "done"
    assert run.sample(3).shape == run.reconstruct(3).shape == (3, 1, 8, 8)
    drawn = {path.stem for path in (tmp_path / "run").glob("*.png")}
    assert drawn == {"curves", "latents", "plane", "reconstructions", "samples", "traversals"}


def test_a_picture_that_cannot_be_drawn_ends_no_fit(tmp_path, monkeypatch, capsys):
    def fails(run, folder):
        raise PyrovaeError("images have no shape")

    monkeypatch.setattr("pyrovae.runs.pictures.pictures", fails)
    x = torch.randn(60, 3)
    run = pyrovae.fit("vae", data=x, **TINY | {"show": True}, out=tmp_path / "run")
    assert run.status == pyrovae.load(tmp_path / "run", data=x, device="cpu").status == "done"
    assert "note: a picture was left out: images have no shape" in capsys.readouterr().err


def test_a_table_is_told_what_to_do(tmp_path):
    (tmp_path / "rows.csv").write_text("1,2\n")
    with pytest.raises(UsageError, match=r"save the numbers of a table by numpy.save, as a .npy"):
        pyrovae.fit("vae", data=tmp_path / "rows.csv", show=False)
