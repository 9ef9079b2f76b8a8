"""A class or function that gives a pair is a model as a named one is: options, fields, family, and the way back."""

import functools
import re

import pyro
import pyro.distributions as dist
import pytest
import torch
from fits import require_same
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError
from pyrovae.runs import tensors
from pyrovae.testing.law import LAWS

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
TINY = {"epochs": 1, "score_samples": 2, "show": False, "compile": False}


class Model(nn.Module):
    def __init__(self, features, latent_dim):
        super().__init__()
        self.latent_dim, self.decoder = latent_dim, nn.Linear(latent_dim, features)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(self.latent_dim), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 0.5).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, features, q):
        super().__init__()
        self.encoder, self.q = nn.Linear(features, 5), q

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(self.encoder(x)))


def made(fields, family, latent_dim: int = 2, device="none", units: nn.Module = nn.Identity()):  # noqa: B008
    features = fields["x"].shape[0]
    return Pair(Model(features, latent_dim), Guide(features, family(5, latent_dim)))


class Made(Pair):
    def __init__(self, family, features: int = 4, latent_dim: int = 2):
        super().__init__(Model(features, latent_dim), Guide(features, family(5, latent_dim)))


MODULE = """
from test_handed_over import Guide, Model, Pair
def made(fields, family, latent_dim: int = 2):
    return Pair(Model(fields["x"].shape[0], latent_dim), Guide(fields["x"].shape[0], family(5, latent_dim)))
"""


def test_it_trains_to_the_bits_of_the_same_code_by_name(tmp_path):
    (tmp_path / "my_model.py").write_text(MODULE)
    named = pyrovae.fit(f"{tmp_path}/my_model.py:made", data=X, guide="full", latent_dim=3, **TINY)
    handed = pyrovae.fit(made, data=X, guide="full", latent_dim=3, **TINY)
    require_same(handed, named)
    assert handed.pair.own and handed.recipe.model is None
    assert handed.options()["latent_dim"] == 3
    assert "with guide full" in str(handed)


@pytest.mark.parametrize("make", [Made, functools.partial(Made, latent_dim=1)], ids=["class", "partial"])
def test_classes_and_partials(make):
    run = pyrovae.fit(make, data=X, **TINY)
    assert run.pair.model.latent_dim == (2 if make is Made else 1)
    assert run.recipe.guide == "diagonal"
    assert pyrovae.fit(make, data=X, latent_dim=3, **TINY).pair.model.latent_dim == 3


def test_annotations_for_type_checkers_alone_stand_in_nobodys_way(tmp_path):
    def hinted(fields: "Mapping[str, Nowhere]", family: "Family", latent_dim: "int" = 2, k: "Nowhere" = 3):  # noqa: F821
        return made(fields, family, latent_dim)

    run = pyrovae.fit(hinted, data=X, latent_dim=3, k="x", **TINY)
    assert run.options()["latent_dim"] == 3 and run.options()["k"] == "x"
    with pytest.raises(UsageError, match="latent_dim = 'a'"):
        pyrovae.fit(hinted, data=X, latent_dim="a", **TINY)


def test_it_is_own_code_by_whatever_name():
    def vae():
        return Pair(Model(4, 2), Guide(4, lambda h: dist.Normal(h[..., :2], 1.0).to_event(1)))

    assert pyrovae.fit(vae, data=X, **TINY).pair.own


def test_a_run_of_it_goes_on_and_is_loaded_with_it(tmp_path):
    run = pyrovae.fit(made, data=X, guide="full", latent_dim=3, out=tmp_path / "run", **TINY)
    with pytest.raises(UsageError, match="holds a pair that was handed over in Python"):
        pyrovae.load(tmp_path / "run")
    loaded = pyrovae.load(tmp_path / "run", made, data=X, device="cpu")
    ours, theirs = tensors.weights(loaded.pair), tensors.weights(run.pair)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(UsageError, match="latent_dim=4 contradicts"):
        pyrovae.fit(made, resume=tmp_path / "run", data=X, epochs=2, latent_dim=4, show=False)
    longer = pyrovae.fit(made, resume=tmp_path / "run", data=X, epochs=2, show=False)
    assert (len(longer.metrics), longer.pair.model.latent_dim, longer.recipe.guide) == (2, 3, "full")
    with pytest.raises(PyrovaeError, match="has no option 'latent_dim'"):
        pyrovae.load(tmp_path / "run", lambda: made(None, None))


def needs(size: int, latent_dim: int = 2): ...


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (needs, {}, "needs: missing a required argument: 'size': give it a default, or take `fields`"),
        (made, {"latent_dmi": 3}, "model made has no option 'latent_dmi': did you mean 'latent_dim'?"),
        (made, {"latent_dim": "a"}, "model made: latent_dim = 'a'"),
        (made, {"device": "cpu"}, "device is a parameter of made that cannot be set from here"),
        (made, {"units": 1}, "units is a parameter of made that cannot be set from here"),
        (made, {"data": None}, "a pair of your own needs data"),
        (lambda: Pair(None, None), {"guide": "full"}, "guide full: <lambda> brings a guide of its own"),
        (dict, {}, "dict: no signature found"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_what_does_not_fit_is_one_sentence(model, options, says):
    with pytest.raises(UsageError, match=re.escape(says)) as error:
        pyrovae.fit(model, **{"data": X, "epochs": 1, **options})
    assert "\n" not in str(error.value)


def test_it_is_compared_and_a_stopped_comparison_goes_on(tmp_path):
    def compared(**options):
        quick = {**TINY, "data": X, "out": tmp_path / "c", "seeds": (0,), **options}
        return pyrovae.compare(quick.pop("model", Made), ("diagonal",), **quick)

    table = compared().table
    (tmp_path / "c" / "compare.json").unlink()
    again = compared()
    assert again.model == "Made"
    assert [row["elbo"]["mean"] for row in again.table] == [row["elbo"]["mean"] for row in table]
    (tmp_path / "c" / "compare.json").unlink()
    with pytest.raises(UsageError, match="holds a run of other options"):
        compared(latent_dim=1)
    with pytest.raises(UsageError, match="a Pair brings a guide of its own"):
        compared(model=Made(lambda h, z: nn.Identity()))


def test_it_is_checked_with_what_it_asks_for(monkeypatch):
    monkeypatch.setattr("pyrovae.testing.checking.LAWS", LAWS[:3])  # the others are no matter of how it is made
    data = pyrovae.data.load(X, pyrovae.data.DataConfig(standardize=False))
    laws = pyrovae.check(made, [X[:11]], data.fields)
    assert len(laws) == 3 and not [law for law in laws if law.passed is False], laws
    with pytest.raises(UsageError, match="made asks for the fields of the data: give them"):
        pyrovae.check(made, [X[:11]])
