"""Pairs with several latent sites: a guide family for each, and how such guides are written."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from commands import done, run

import pyrovae
from pyrovae import UsageError, registry
from pyrovae.guides.diagonal import Diagonal
from pyrovae.guides.iaf import IAF
from pyrovae.guides.lowrank import LowRank
from pyrovae.registry import split_guides
from pyrovae.testing import check

TWO = '''
"""Two layers: z2 ~ N(0, I), z1 ~ N(f(z2), I), x ~ N(g(z1), I); q(z1 | x) q(z2 | z1)."""
import pyro, pyro.distributions as dist
from torch import nn
from pyrovae import Pair


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.f, self.g = nn.Linear(2, 3), nn.Linear(3, 5)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z2 = pyro.sample("z2", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            z1 = pyro.sample("z1", dist.Normal(self.f(z2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.g(z1), 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self, q1, q2):
        super().__init__()
        self.q1, self.q2 = q1, q2

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z1 = pyro.sample("z1", self.q1(x))
            pyro.sample("z2", self.q2(z1))


def named(family):
    return Pair(Model(), Guide(family(5, 3, site="z1"), family(3, 2, site="z2")))


def unnamed(family):
    return Pair(Model(), Guide(family(5, 3), family(3, 2)))
'''

SHORT = {"epochs": 1, "score_samples": 2, "device": "cpu", "compile": False}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "two.py"
    path.write_text(TWO)
    return path


def pair(file, spec, function="named"):
    variant = registry.variant(f"{file}:{function}")
    return variant.build(variant.config(), {}, registry.family(spec))


def test_each_site_has_the_family_that_is_written_for_it(file):
    guide = pair(file, "z1=iaf:steps=3:hidden=4,z2=lowrank:rank=1").guide
    assert (type(guide.q1), type(guide.q2)) == (IAF, LowRank)
    assert (len(guide.q1.steps), guide.q2.rank) == (3, 1)
    again = pair(file, "z2=lowrank:rank=1, z1=iaf:steps=3:hidden=4").guide  # in any order
    assert type(again.q1) is IAF


@pytest.mark.parametrize("function", ["named", "unnamed"])
def test_a_spec_without_sites_is_for_all_of_them(file, function):
    guide = pair(file, "diagonal", function).guide
    assert (type(guide.q1), type(guide.q2)) == (Diagonal, Diagonal)


def test_a_family_of_ones_own_is_given_by_site(file):
    (file.parent / "mine.py").write_text("from pyrovae.guides.lowrank import LowRank as Mine\n")
    guide = pair(file, f"z1={file.parent}/mine.py:Mine:rank=2,z2=diagonal").guide
    assert guide.q1.rank == 2


def test_pairs_with_a_family_for_each_site_obey_the_laws(file):
    make = lambda: pair(file, "z1=planar:steps=1,z2=mixture:components=2")  # noqa: E731
    assert {law.name: law.detail for law in check(make, [torch.randn(9, 5)]) if law.passed is not True} == {}


@pytest.mark.parametrize(
    ("spec", "function", "says"),
    [
        ("z1=iaf,z2=full", "unnamed", "is for sites z1, z2, and the pair names no site: give one family for all"),
        ("z1=iaf,z3=full", "named", "is for sites z1, z3, and the pair asks for sites z1, z2: add z2=FAMILY"),
        ("z1=iaf", "named", "is for sites z1, and the pair asks for sites z1, z2: add z2=FAMILY"),
        ("z1=iaf,z2=full,z3=full", "named", "for sites z1, z2, z3, and the pair asks for sites z1, z2: leave out z3"),
        ("z1=iaf,full", "named", "'full' names no site: write SITE=full"),
        ("full,z1=iaf", "named", "'full' names no site: write SITE=full"),
        ("z1=iaf,z1=full", "named", "site 'z1' is given twice"),
        ("z1=iaff,z2=full", "named", "did you mean 'iaf'"),
        ("z1=iaf:stps=2,z2=full", "named", "did you mean 'steps'"),
        ("z1=,z2=full", "named", "there is no guide ''"),
        ("=iaf", "named", "names no family"),
    ],
)
def test_a_guide_that_does_not_fit_the_sites_is_refused(file, spec, function, says):
    with pytest.raises(UsageError) as error:
        pair(file, spec, function)
    assert says in str(error.value)
    assert spec in str(error.value) or "did you mean" in str(error.value) or "there is no" in str(error.value)


def test_the_same_spec_in_python_on_the_command_line_and_in_toml(file, tmp_path):
    spec = "z1=iaf:steps=1:hidden=4,z2=diagonal"
    x = torch.randn(40, 5)
    fitted = pyrovae.fit(f"{file}:named", x, spec, tmp_path / "python", show=False, **SHORT)
    again = pyrovae.load(tmp_path / "python", data=x, trust=True)
    assert again.recipe.guide == spec
    assert type(again.pair.guide.q1) is IAF
    for name, tensor in fitted.pair.state_dict().items():
        assert torch.equal(tensor, again.pair.state_dict()[name])

    data = tmp_path / "x.npy"
    np.save(data, x.numpy())
    own = ("--model", f"{file}:named", "--data", data, "--epochs", 1, "--score-samples", 2, "--quiet", "--no-compile")
    done("fit", *own, "--guide", spec, "--out", tmp_path / "line")
    (tmp_path / "fit.toml").write_text(f'guide = "{spec}"\n')
    done("fit", *own, "--config", tmp_path / "fit.toml", "--out", tmp_path / "toml")
    for folder in ("line", "toml"):
        assert json.loads((tmp_path / folder / "run.json").read_text())["recipe"]["guide"] == spec
    refused = run("fit", *own, "--guide", "z1=full,z2=full,z3=full", "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "leave out z3" in refused.stderr

    guides = "diagonal,z1=diagonal,z2=full,z1=full,z2=diagonal"
    found = json.loads(done("compare", *own, "--guides", guides, "--out", tmp_path / "c", "--json").stdout)
    assert [row["guide"] for row in found["runs"]] == ["diagonal", "z1=diagonal,z2=full", "z1=full,z2=diagonal"]


@pytest.mark.parametrize(
    ("text", "guides"),
    [
        ("diagonal", ["diagonal"]),
        ("diagonal, iaf:steps=4", ["diagonal", "iaf:steps=4"]),
        ("z1=iaf:steps=4,z2=full", ["z1=iaf:steps=4,z2=full"]),
        (
            "diagonal,z1=iaf,z2=diagonal,z1=full,z2=full,lowrank",
            ["diagonal", "z1=iaf,z2=diagonal", "z1=full,z2=full", "lowrank"],
        ),
        ("z1=iaf,z1=full", ["z1=iaf", "z1=full"]),
        ("z1=iaf,full,z2=full", ["z1=iaf", "full", "z2=full"]),
        ("full,,iaf", ["full", "", "iaf"]),
        ("my.py:Mine:a=1,z=my.py:Mine:a=1", ["my.py:Mine:a=1", "z=my.py:Mine:a=1"]),
    ],
)
def test_a_list_of_guides_is_split_at_the_commas_between_guides(text, guides):
    assert split_guides(text) == guides


def test_pairs_that_come_with_pyrovae_name_their_site(tmp_path):
    run = pyrovae.fit(
        "vae", data=torch.randn(40, 5), guide="z=planar:steps=2", epochs=1, latent_dim=2, score_samples=2, show=False
    )
    assert type(run.pair.guide.q).__name__ == "Planar"


def test_a_spec_is_its_text_and_is_taken_apart_once():
    spec = registry.GuideSpec("z1=iaf:steps=2:hidden=4,z2=diagonal")
    assert spec == "z1=iaf:steps=2:hidden=4,z2=diagonal"
    assert spec.written == {"z1": ("iaf", {"steps": "2", "hidden": "4"}), "z2": ("diagonal", {})}
    assert spec.names == ["iaf", "diagonal"]
    assert registry.GuideSpec(spec) is spec
    assert spec.family is spec.family
    assert registry.GuideSpec("full").written == {None: ("full", {})}
    for copied in (copy.deepcopy(spec), pickle.loads(pickle.dumps(registry.GuideSpec(str(spec))))):
        assert (copied, copied.names) == (spec, spec.names)


def test_pairs_of_one_spec_do_not_know_of_each_other(file):
    """The sites for which a pair asks are those of one pair."""
    spec = registry.GuideSpec("z1=iaf:steps=1:hidden=4,z2=diagonal")
    named = registry.variant(f"{file}:named")
    for _ in range(2):
        named.build(named.config(), {}, spec.family)
    silent = registry.variant(f"{file}:unnamed")
    with pytest.raises(UsageError, match="the pair names no site"):
        silent.build(silent.config(), {}, spec.family)
    assert spec.family.asked == []
