"""A run directory: loaded in another process it gives the same numbers, and what is damaged or foreign is told."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import safetensors.torch
import torch
from conftest import SMALL, small
from torch import nn

import pyrovae
from pyrovae import Pair, PyrovaeError, UsageError
from pyrovae.data import DataConfig, Field
from pyrovae.generation import draws
from pyrovae.pairs.traces import draw, log_weights, sites
from pyrovae.runs import directory, pictures, schema
from pyrovae.runs import tensors as store
from pyrovae.storage import atomic

QUICK = {"epochs": 1, "score_samples": 2, "device": "cpu", "show": False}

SENTENCES = "the cat sat . \n a dog ran off \n the dog sat \n a cat \n the mat ran . \n cat and dog \n".splitlines() * 5

FITS = {  # name -> model, data, guide, options
    "vae": ("vae", "images", "diagonal", {}),
    "vae-iaf": ("vae", "images", "iaf:steps=3:hidden=8", {}),
    "vae-conv-full": ("vae", "images", "full", {"net": "conv", "channels": (3, 4)}),
    "vae-normal": ("vae", "vectors", "lowrank:rank=2", {"scale": "learned"}),
    "cvae-iaf": ("cvae", "images", "iaf:hidden=8", {"embedding": 2}),
    "cvae-quadrants": ("cvae", "images", "diagonal", {"condition": "quadrants"}),
    "iaf": ("iaf", "images", None, {}),
    "ssvae": ("ssvae", "images", "full", {"labels": 9, "labelled_share": 0.5}),
    "textvae": ("textvae", "text", "iaf:hidden=8", {"tied": True}),
    "textvae-no-z": ("textvae", "text", None, {"z": False}),
}

CHILD = """
import sys, torch
from pathlib import Path
import safetensors.torch
import pyrovae
from pyrovae.pairs.traces import log_weights
torch.set_num_threads(1)
for folder in map(Path, sys.argv[1:]):
    pair = pyrovae.load(folder, device="cpu").pair
    assert not pair.training
    seen = safetensors.torch.load_file(folder.parent / f"{folder.name}.seen")
    batch = [seen[f"batch {name}"] for name in pair.inputs]
    values = {name[2:]: value for name, value in seen.items() if name.startswith("z ")}
    with torch.no_grad():
        found = log_weights(pair, batch, values=values)
    torch.testing.assert_close(found, seen["log_weight"], rtol=1e-6, atol=1e-5)
    print(folder.name)
"""


def data_of(kind, folder):
    if kind == "text":
        path = folder / "sentences.txt"
        path.write_text("\n".join(SENTENCES))
        return path
    columns = small(kind)[1]
    return columns["x"].repeat(3, *[1] * (columns["x"].dim() - 1)), columns["y"].repeat(3)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Each of FITS, fitted and saved, and beside it what it said of some data."""
    folder = tmp_path_factory.mktemp("runs")
    for name, (model, kind, guide, options) in FITS.items():
        options = SMALL[model] | options | QUICK
        run = pyrovae.fit(model, data=data_of(kind, folder), guide=guide, **options)
        run.save(folder / name)
        batch = run.split("test")
        with torch.no_grad():
            values = {site: found["value"] for site, found in sites(draw(run.pair.guide, batch), False).items()}
            seen = {"log_weight": log_weights(run.pair, batch, values=values)}
        seen |= {f"z {site}": value for site, value in values.items()}
        seen |= {f"batch {field}": tensor for field, tensor in zip(run.pair.inputs, batch, strict=True)}
        safetensors.torch.save_file({k: v.contiguous().clone() for k, v in seen.items()}, folder / f"{name}.seen")
    return folder


def test_a_new_process_gives_the_same_log_probabilities(saved):
    folders = [str(saved / name) for name in FITS]
    root = Path(pyrovae.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, *folders], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(FITS)


def test_everything_of_a_run_comes_back(saved):
    for name, (model, kind, guide, _) in FITS.items():
        run = pyrovae.load(saved / name, data=data_of(kind, saved) if kind != "text" else None, device="cpu")
        assert run.recipe.model == model
        assert run.recipe.guide == guide or guide is None
        assert set(run.fields) >= set(run.pair.inputs)
        assert len(run.metrics) == 1
        assert run.results["log_likelihood"] < 0
        assert run.path == saved / name
        assert (run.vocabulary is not None) == (kind == "text")
        elbo = pyrovae.evaluation.elbo(run.pair, run.split("test"))["elbo"]
        assert elbo == pytest.approx(run.results["test_elbo"], rel=1e-6)


def test_no_file_of_a_run_is_a_pickle(saved):
    for path in saved.glob("*/**/*"):
        if path.is_file():
            assert path.suffix in (".json", ".jsonl", ".safetensors", ".toml", ".png")
            assert not path.read_bytes()[:2].startswith((b"\x80", b"PK"))
    assert json.loads((saved / "vae" / "run.json").read_text())["format"] == 3


def test_weights_can_be_read_without_pyrovae(saved):
    run = pyrovae.load(saved / "vae", device="cpu")
    tensors = safetensors.torch.load_file(saved / "vae" / "weights.safetensors")
    assert set(tensors) == set(run.pair.state_dict())


def test_nothing_is_overwritten_without_being_told(saved, tmp_path):
    run = pyrovae.load(saved / "vae", device="cpu")
    before = (saved / "vae-iaf" / "run.json").read_bytes()
    with pytest.raises(UsageError, match=r"there is a run in .* already"):
        run.save(saved / "vae-iaf")
    assert (saved / "vae-iaf" / "run.json").read_bytes() == before
    with pytest.raises(UsageError, match="there is a run in"):
        pyrovae.fit("vae", data=small("images")[1]["x"], out=saved / "vae-iaf", **QUICK)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="other things in it"):
            run.save(mine, overwrite=overwrite)
    assert (mine / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UsageError, match="is a file"):
        run.save(mine / "thesis.tex")
    (tmp_path / "empty").mkdir()
    run.save(tmp_path / "empty")
    run.save(tmp_path / "empty")  # its own folder
    pyrovae.load(saved / "vae-normal", device="cpu").save(tmp_path / "empty", overwrite=True)
    assert pyrovae.load(tmp_path / "empty", device="cpu").pair.model.likelihood.scale == "learned"


@pytest.fixture
def copy(saved, tmp_path):
    """A run that may be damaged."""
    pyrovae.load(saved / "vae", device="cpu").save(tmp_path / "run")
    return tmp_path / "run"


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(schema.sealed(content) if isinstance(content, dict) else content))


def sealed(path, data):
    """Writes a file of a run, and its size and checksum into run.json."""
    path.write_bytes(data)
    (role,) = [role for role, name in directory.PATHS.items() if name == path.name]
    found = {"path": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edited(path.parent / "run.json", lambda content: content["files"].update({role: found}))


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("run.json", lambda path: path.write_text(path.read_text()[:100]), "is no JSON"),
        ("run.json", lambda path: path.write_bytes(b"\xff\xfe\x00"), "is no JSON"),
        ("run.json", lambda path: path.write_text("[]"), "is damaged"),
        ("run.json", lambda path: edited(path, lambda c: c.pop("recipe")), "is damaged"),
        ("run.json", lambda path: edited(path, lambda c: c["recipe"].pop("guide")), "is damaged"),
        ("run.json", lambda path: edited(path, lambda c: c.update(format=99)), "format 99.*update pyrovae"),
        ("run.json", lambda path: edited(path, lambda c: c["fields"]["x"].update(colour=1)), "is damaged"),
        (
            "run.json",
            lambda path: edited(path, lambda c: c["recipe"]["options"].update(latent_dim=0)),
            "latent_dim = 0",
        ),
        ("run.json", lambda path: edited(path, lambda c: c["recipe"]["options"].update(latent_dim=5)), "has shape"),
        (
            "run.json",
            lambda path: edited(path, lambda c: c["recipe"].update(guide="full")),
            "have no tensor 'guide.q.below",
        ),
        ("run.json", lambda path: edited(path, lambda c: c["recipe"].update(model="vea")), "did you mean 'vae'"),
        ("weights.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-10]), "its checksum differs"),
        ("weights.safetensors", lambda path: path.write_bytes(b""), "its checksum differs"),
        ("weights.safetensors", lambda path: path.unlink(), "there is no .*weights.safetensors"),
        (
            "weights.safetensors",
            lambda path: sealed(path, store.to_bytes({"extra": torch.ones(1)})),
            "they are of another model",
        ),
        ("weights.safetensors", lambda path: sealed(path, path.read_bytes()[:-10]), "cannot be read"),
        ("weights.safetensors", lambda path: sealed(path, b""), "cannot be read"),
        ("metrics.jsonl", lambda path: path.write_text('{"epoch": 1'), "its checksum differs"),
        ("metrics.jsonl", lambda path: sealed(path, b'{"epoch": 1'), "is damaged"),
    ],
)
def test_damage_is_told_in_one_sentence(copy, file, damage, says):
    damage(copy / file)
    with pytest.raises(PyrovaeError, match=says) as told:
        pyrovae.load(copy, device="cpu")
    assert "\n" not in str(told.value)
    assert str(told.value.__cause__) == "None"


def test_foreign_tensors_are_told(copy):
    weights = copy / "weights.safetensors"
    tensors = store.tensors_of(weights.read_bytes(), "weights")
    sealed(weights, store.to_bytes(tensors | {"more": torch.ones(1)}))
    with pytest.raises(PyrovaeError, match="have a tensor 'more' that the pair lacks"):
        pyrovae.load(copy, device="cpu")


def test_folders_that_are_no_run_are_told(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        pyrovae.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"there is no run\.json in it"):
        pyrovae.load(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(UsageError, match="its fit did not finish"):
        pyrovae.load(tmp_path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic.write_text(path, "old")
    with pytest.raises(TypeError), atomic.aside(path) as temporary:
        temporary.write_text(b"half of the new")
    assert path.read_text() == "old"
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_run_is_written_whole_or_not_at_all(copy, saved, monkeypatch):
    run = pyrovae.load(copy, device="cpu")
    other = pyrovae.load(saved / "vae-normal", device="cpu")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    calls, fsync = iter(range(100)), os.fsync

    def full(descriptor):
        if next(calls) == 2:
            raise OSError("disk full")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        run.save(copy.parent / "some" / "where")
    assert not (copy.parent / "some").exists()
    calls = iter(range(100))
    with pytest.raises(OSError, match="disk full"):
        other.save(copy, overwrite=True)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_shared_and_overlapping_tensors_are_saved(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight
            self.same = self.first
            whole = torch.arange(6.0)
            self.register_buffer("left", whole[:4])
            self.register_buffer("right", whole[2:])

    tied = Tied()
    state = store.weights(tied)
    assert set(state) == {"first.weight", "first.bias", "second.bias", "left", "right"}
    (tmp_path / "file").write_bytes(store.to_bytes(state))
    other = Tied()
    other.left.zero_()
    store.set_weights(other, store.tensors_of((tmp_path / "file").read_bytes(), "file"))
    assert other.second.weight is other.first.weight
    for name, tensor in tied.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


def test_numbers_that_json_lacks_are_null(tmp_path):
    atomic.write_json(tmp_path / "file", {"a": [float("nan"), 1.0], "b": {"c": float("inf")}})
    assert json.loads((tmp_path / "file").read_text()) == {"a": [None, 1.0], "b": {"c": None}}


class Model(nn.Module):
    def __init__(self, shift=0.0):
        super().__init__()
        self.decoder, self.shift = nn.Linear(2, 6), shift

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z) + self.shift, 1.0).to_event(1), obs=x)


class Guide(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(6, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", dist.Normal(self.encoder(x), 1.0).to_event(1))


def test_a_pair_of_ones_own(tmp_path):
    x = torch.randn(40, 6)
    run = pyrovae.fit(Pair(Model(), Guide()), data=x, out=tmp_path / "run", **QUICK)
    with pytest.raises(UsageError, match=r"give one again, pyrovae\.load\(run, pair=\.\.\.\)"):
        pyrovae.load(tmp_path / "run")
    back = pyrovae.load(tmp_path / "run", pair=Pair(Model(), Guide()), data=x, device="cpu")
    ours, theirs = (each.log_likelihood(samples=3).log_likelihood for each in (run, back))
    assert torch.equal(ours, theirs)
    with pytest.raises(PyrovaeError, match="give them again"):
        pyrovae.load(tmp_path / "run", pair=Pair(Model(), Guide()), device="cpu").split("test")
    with pytest.raises(PyrovaeError, match="are not those of this run"):
        pyrovae.load(tmp_path / "run", pair=Pair(Model(), Guide()), data=x + 1, device="cpu")
    with pytest.raises(UsageError, match="needs data"):
        pyrovae.fit(Pair(Model(), Guide()), **QUICK)


OWN = '''
"""A model of my own."""
from pathlib import Path
import pyro, pyro.distributions as dist, torch
from torch import nn
from pyrovae import Pair

Path(__file__ + ".ran").write_text("ran")

class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 6))

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)

class Guide(nn.Module):
    def __init__(self, family):
        super().__init__()
        self.q = family(6, 2)

    def forward(self, x):
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(x))

class MyVAE(Pair):
    def __init__(self, family, width: int = 4):
        super().__init__(Model(width), Guide(family))
'''


def test_a_class_of_ones_own_needs_trust(tmp_path):
    file = tmp_path / "my_model.py"
    file.write_text(OWN)
    x = torch.randn(40, 6)
    run = pyrovae.fit(f"{file}:MyVAE", data=x, guide="full", width=3, **QUICK)
    assert run.pair.model.decoder[0].out_features == 3
    run.save(tmp_path / "run")
    ran = Path(f"{file}.ran")
    ran.unlink()
    sys.modules.pop(type(run.pair).__module__)
    with pytest.raises(UsageError, match=r"your own code, .*my_model\.py:MyVAE: it is only run with trust=True"):
        pyrovae.load(tmp_path / "run")
    assert not ran.exists()
    back = pyrovae.load(tmp_path / "run", data=x, device="cpu", trust=True)
    assert ran.exists()
    assert torch.equal(back.log_likelihood(3).log_likelihood, run.log_likelihood(3).log_likelihood)
    with pytest.raises(UsageError, match="has no option 'widht': did you mean 'width'"):
        pyrovae.fit(f"{file}:MyVAE", data=x, widht=3, **QUICK)


def test_a_run_that_waits_for_other_data_says_so(saved):
    x, y = data_of("images", saved)
    with pytest.raises(PyrovaeError, match="are not those of this run"):
        pyrovae.load(saved / "vae", data=(1 - x, y), device="cpu")
    with pytest.raises(PyrovaeError, match=r"give them again, pyrovae\.load\(run, data=\.\.\.\)"):
        pyrovae.load(saved / "vae", device="cpu").split("test")


def test_verbs(saved):
    for name, (_, kind, _, _) in FITS.items():
        run = pyrovae.load(saved / name, data=data_of(kind, saved) if kind != "text" else None, device="cpu")
        state = torch.get_rng_state()
        samples, again, other = run.sample(5), run.sample(5), run.sample(5, seed=1)
        if kind == "text":
            assert samples == again
            assert len(samples) == 5
            assert all(isinstance(sentence, str) for sentence in samples)
        else:
            assert samples.shape == (5, *run.fields["x"].shape)
            assert torch.equal(samples, again)
            assert not torch.equal(samples, other)
        assert len(run.reconstruct(1)) == 1
        if name != "textvae-no-z":
            assert run.encode()["z_mean"].shape == run.encode()["z_scale"].shape == (len(run.split("test")[0]), 3)
        scores = run.evaluate(samples=3)
        assert scores["elbo"] == pytest.approx(run.results["test_elbo"], rel=1e-6)
        assert ("perplexity" in scores) == (kind == "text")
        assert torch.equal(state, torch.get_rng_state())


def test_given_conditions_and_latents(saved):
    run = pyrovae.load(saved / "cvae-iaf", data=data_of("images", saved), device="cpu")
    zero = run.sample(4, z=[0.0, 0.0, 0.0], y=1)
    assert torch.equal(zero, zero[:1].expand_as(zero))
    assert not torch.equal(zero, run.sample(4, z=[0.0, 0.0, 0.0], y=2))
    with pytest.raises(UsageError, match="neither a condition nor a latent site"):
        run.sample(4, w=1)
    with pytest.raises(UsageError, match="does not fit"):
        run.sample(4, z=[0.0, 0.0])
    found = run.interpolate(rows=1, steps=3)
    assert found.shape == (1, 3, 1, 8, 8)


def test_the_most_likely_words_are_the_same_whatever_the_noise(saved):
    run = pyrovae.load(saved / "textvae", device="cpu")
    z = {"z": [0.3, -0.2, 0.1]}
    assert len({*run.sample(5, temperature=0, **z), *run.sample(5, seed=1, temperature=0, **z)}) == 1
    assert len({*run.sample(5, **z), *run.sample(5, seed=1, **z)}) > 1
    assert run.sample(5, temperature=1.0) == run.sample(5)
    assert run.interpolate(2, 3, seed=1) == run.interpolate(2, 3) == run.interpolate(2, 3, temperature=0)
    assert run.interpolate(2, 3, temperature=1) != run.interpolate(2, 3)
    with pytest.raises(UsageError, match="temperature = inf: give a finite number"):
        run.sample(1, temperature=float("inf"))
    images = pyrovae.load(saved / "cvae-iaf", data=data_of("images", saved), device="cpu")
    for verb in (images.sample, images.reconstruct, images.interpolate):
        with pytest.raises(UsageError, match="these data are no text"):
            verb(temperature=0.5)


def test_scores_of_evenly_spaced_data(saved):
    run = pyrovae.load(saved / "textvae-no-z", device="cpu")
    whole, n = run.log_likelihood(split="train").log_likelihood, len(run.split("train")[0])
    scores = run.evaluate(split="train", limit=3, evenly=True, baseline=run)
    assert n > 3
    rows = [0, round((n - 1) / 2), n - 1]
    assert scores["num_data"] == scores["baseline"]["num_data"] == 3
    assert scores["log_likelihood"] == pytest.approx(whole[rows].mean().item(), rel=1e-5)
    assert scores["baseline"]["difference"] == 0
    assert set(scores["worst"]) == set(rows)
    assert set(run.evaluate(split="train", limit=3)["worst"]) == {0, 1, 2}


def test_perplexity_counts_words_and_not_padding(saved):
    run = pyrovae.load(saved / "textvae-no-z", device="cpu")
    scores, (x,) = run.evaluate(samples=1), run.split("test")
    words = int((x != 0).sum())
    assert scores["words"] == words
    assert scores["perplexity"] == pytest.approx(
        torch.tensor(-scores["log_likelihood"] * len(x) / words).exp().item(), rel=1e-5
    )


def test_a_model_and_data_that_do_not_go_together(saved, tmp_path):
    x = small("images")[1]["x"]
    with pytest.raises(UsageError, match="needs the field 'y'"):
        pyrovae.fit("cvae", data=x, **QUICK)
    with pytest.raises(UsageError, match="did you mean 'latent_dim'"):
        pyrovae.fit("vae", data=x, latent_dims=3, **QUICK)
    with pytest.raises(UsageError, match="did you mean 'iaf'"):
        pyrovae.fit("vae", data=x, guide="iaff", **QUICK)
    with pytest.raises(UsageError, match="brings a guide of its own"):
        pyrovae.fit(Pair(Model(), Guide()), data=torch.randn(9, 6), guide="full", **QUICK)


def test_a_field_round_trip():
    for kind in ("images", "colour", "conditions", "quadrants", "text"):
        for field in small(kind)[0].values():
            assert Field.from_json(json.loads(json.dumps(field.to_json()))) == field
    assert DataConfig(**json.loads(DataConfig().model_dump_json())) == DataConfig()


def test_completions_of_a_row_have_one_condition(tmp_path, monkeypatch):
    """Each row of the picture shows several draws for the given part of one datum."""
    run = pyrovae.fit("cvae", condition="quadrants", show=False, epochs=1, hidden=(8,), latent_dim=2)
    seen = []
    sample = draws.sample
    monkeypatch.setattr(
        draws, "sample", lambda pair, like, n, given: seen.append((like, n)) or sample(pair, like, n, given)
    )
    pictures.samples(run, tmp_path / "samples.png", 4)
    ((like, n),) = seen
    assert len(like[0]) == 4
    assert n == 4 * 6


def test_a_label_is_one_along_an_interpolation():
    run = pyrovae.fit("cvae", show=False, epochs=1, hidden=(8,), latent_dim=2)
    _, y = run.ends(12)
    assert torch.equal(y[::2], y[1::2])
    assert len(y.unique()) == 10
    assert run.interpolate(3, 4).shape == (3, 4, 1, 8, 8)


def test_real_conditions_go_along_the_line():
    run = pyrovae.fit("cvae", condition="quadrants", show=False, epochs=1, hidden=(8,), latent_dim=2)
    batch = run.ends(1)
    found = []
    run.pair.model.register_forward_pre_hook(lambda module, args: found.append(args[1]))
    run.interpolate(1, 3)
    assert torch.allclose(found[-1][1], (batch[1][0] + batch[1][1]) / 2)


def test_an_interpolation_goes_from_the_first_to_the_second():
    pair, x = Pair(Model(), Guide()).eval(), torch.randn(4, 6)
    found = draws.interpolate(pair, [x], 3).sites["x"]["fn"].mean.unflatten(0, (2, 3))
    with torch.no_grad():
        ends = pair.model.decoder(pair.guide.encoder(x)).unflatten(0, (2, 2))
    torch.testing.assert_close(found[:, 0], ends[:, 0])
    torch.testing.assert_close(found[:, 1], ends.mean(1))
    torch.testing.assert_close(found[:, 2], ends[:, 1])
    run = pyrovae.fit(pair, data=torch.randn(40, 6), **QUICK)
    with torch.no_grad():
        ends = run.pair.model.decoder(run.pair.guide.encoder(run.split("test")[0]))
    torch.testing.assert_close(run.interpolate(rows=2, steps=2).flatten(0, 1), ends)


def test_a_latent_vector_is_one_for_all_rows_and_a_matrix_one_for_each():
    run = pyrovae.fit(Pair(Model(), Guide()), data=torch.randn(40, 6), **QUICK)
    z = torch.tensor([[0.5, -1.0], [2.0, 0.3]])
    with torch.no_grad():
        wanted = run.pair.model.decoder(z)
    torch.testing.assert_close(run.sample(2, z=[0.5, -1.0]), wanted[:1].expand(2, 6))
    torch.testing.assert_close(run.sample(3, z=[0.5, -1.0]), wanted[:1].expand(3, 6))
    torch.testing.assert_close(run.sample(2, z=z), wanted)


def test_loading_leaves_the_generator_as_found(saved):
    for name, (_, kind, _, _) in FITS.items():
        state = torch.get_rng_state()
        pyrovae.load(saved / name, data=data_of(kind, saved) if kind != "text" else None, device="cpu")
        assert torch.equal(torch.get_rng_state(), state)


def test_given_quadrants_are_shown_as_given(saved):
    run = pyrovae.load(saved / "cvae-quadrants", data=data_of("images", saved), device="cpu")
    y = run.split("test")[1]
    line, called = run.ends(2)[1].unflatten(0, (2, 2)), []
    run.pair.model.register_forward_pre_hook(lambda module, args: called.append(args[1]))
    between = run.interpolate(rows=2, steps=3)
    along = called[-1]
    torch.testing.assert_close(along.unflatten(0, (2, 3))[:, [0, 2]], line)
    for shown, given in ((run.sample(3), y[:3]), (run.reconstruct(3), y[:3]), (between.flatten(0, 1), along)):
        mask = given[:, 1:] == 1
        assert 0 < mask.float().mean() < 1
        torch.testing.assert_close(shown[mask], given[:, :1][mask])
        assert not torch.isin(shown[~mask], torch.tensor([0.0, 1.0])).any()  # what was not given is still E[x | z]
