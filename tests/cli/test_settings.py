"""config.toml makes the same fit again; `runs` lists runs; --json of what is generated; what a fit says it decided."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from commands import FITS, TINY, done, run, the_error, write_data

import pyrovae
from pyrovae.cli._glossary import TERMS, explained
from pyrovae.runs.listing import found_in

ROOT = Path(__file__).parents[2]

NAMES = ("image", "label", "vector", "text", "quadrants")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("settings")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_data(folder)
        for name in NAMES:
            done("fit", *FITS[name], "--out", f"all/{name}", "--quiet")
    return folder


@pytest.fixture(autouse=True)
def _here(fitted, monkeypatch):
    monkeypatch.chdir(fitted)


@pytest.mark.parametrize("name", NAMES)
def test_config_toml_makes_the_same_fit_again(name):
    done("fit", "--config", f"all/{name}/config.toml", "--out", f"again-{name}", "--quiet")
    old, new = (Path(folder, "weights.safetensors").read_bytes() for folder in (f"all/{name}", f"again-{name}"))
    assert old == new
    assert Path(f"again-{name}/config.toml").read_text() == Path(f"all/{name}/config.toml").read_text()
    ours, theirs = (json.loads(Path(folder, "run.json").read_text()) for folder in (f"all/{name}", f"again-{name}"))
    assert ours["recipe"] == theirs["recipe"]


def test_config_toml_holds_what_was_set_and_shows_the_defaults():
    text = Path("all/vector/config.toml").read_text()
    found = tomllib.loads(text)
    assert (found["model"], found["data"], found["guide"]) == ("vae", "vectors.npy", "full")
    assert (found["hidden"], found["latent_dim"], found["epochs"]) == ([4], 2, 1)
    assert "lr" not in found
    assert "\n# lr = 0.002\n" in text


def test_what_names_do_not_say_has_no_config_toml(tmp_path):
    pyrovae.fit("vae", data=np.load("vectors.npy"), epochs=1, hidden=(4,), out=tmp_path / "run", show=False)
    assert not (tmp_path / "run" / "config.toml").exists()
    assert pyrovae.load(tmp_path / "run", data=np.load("vectors.npy"))


def test_runs_are_listed_with_their_scores(tmp_path):
    found = json.loads(done("runs", "all", "--json").stdout)
    assert [Path(each["run"]).name for each in found] == sorted(NAMES)
    for each in found:
        results = json.loads(Path(each["run"], "run.json").read_text())["results"]
        assert each["log_likelihood"] == results["log_likelihood"]
        assert each["status"] == "done"
    best = json.loads(done("runs", "all", "--sort", "test_elbo", "--json").stdout)
    assert [each["test_elbo"] for each in best] == sorted((each["test_elbo"] for each in found), reverse=True)
    printed = done("runs", "all").stdout
    for each in found:
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{each['run']} ")]
        assert f"{each['test_elbo']:.2f}" in line
    assert "there is no run below" in done("runs", tmp_path).stderr
    assert "is no folder" in the_error(run("runs", "nowhere").stderr)


def test_a_damaged_run_is_listed_as_such(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("{}")
    (each,) = found_in(tmp_path)
    assert (each["status"], each["log_likelihood"]) == ("damaged", None)
    assert "run.json" in each["error"]
    assert "damaged" in done("runs", tmp_path).stdout


def test_what_is_generated_can_be_json():
    made = pyrovae.load("all/vector")
    found = json.loads(done("sample", "all/vector", "-n", "3", "--json").stdout)
    np.testing.assert_allclose(found["x"], made.sample(3).numpy(), rtol=1e-6)
    found = json.loads(done("reconstruct", "all/vector", "-n", "3", "--json").stdout)
    np.testing.assert_allclose(found["x"], made.reconstruct(3).numpy(), rtol=1e-6)
    found = json.loads(done("interpolate", "all/vector", "--rows", "1", "--steps", "3", "--json").stdout)
    assert np.shape(found["x"]) == (1, 3, 5)
    found = json.loads(done("encode", "all/vector", "--limit", "2", "--json").stdout)
    np.testing.assert_allclose(found["z_mean"], made.encode(limit=2)["z_mean"], rtol=1e-6)
    assert found["row"] == [0, 1]
    found = json.loads(done("sample", "all/text", "-n", "2", "--json").stdout)
    assert len(found["x"]) == 2
    assert all(isinstance(sentence, str) for sentence in found["x"])
    found = json.loads(done("sample", "all/image", "-n", "2", "--out", "two.png", "--json").stdout)
    assert found == {"run": "all/image", "out": "two.png"}
    assert Path("two.png").stat().st_size


def test_a_fit_says_what_it_decided_and_quietly_does_not():
    args = ("fit", *FITS["label"][:4], *TINY, "--out", "said", "--overwrite")
    said = done(*args).stderr.splitlines()
    assert said[0] == "data: labels.npz, 32 train, 4 valid, 4 test; x 1x8x7 0 or 1; y of 3 classes"
    assert said[1].startswith("pair: cvae, z 2 Normal, guide diagonal; p(x | z, y) Bernoulli; ")
    assert said[2].startswith("fit: elbo, epochs x steps x data: 1 x 1 x 32, adam at 0.002, cosine; cpu")
    assert "pair:" not in done(*args, "--quiet").stderr


def test_a_quiet_fit_warns_all_the_same():
    args = ("fit", "--model", "vae", "--data", "vectors.npy", *TINY, "--lr", "1e9", "--out", "wild", "--overwrite")
    assert "warning: the model is far worse than an independent Gaussian" in done(*args, "--quiet").stderr


def test_explain_explains_the_terms_that_were_printed_and_no_others():
    out = done("loglik", "all/vector", "--samples", "30", "--explain").stdout
    printed, _, terms = out.partition("\n\n")
    explained_ = [line.partition(":")[0] for line in terms.strip().splitlines()]
    assert {"log-likelihood", "standard error", "Pareto k", "effective samples"} <= set(explained_)
    assert "distortion" not in explained_
    assert all(term in printed for term in explained_)
    assert "\n\n" not in done("loglik", "all/vector", "--samples", "30").stdout


def test_terms_are_found_in_a_text():
    assert explained("the rate is 3") == [f"rate: {TERMS['rate']}"]
    assert explained("separate rates") == []
