"""A broken assumption stands beside the number in what commands print, in their JSON and in the files they write."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import OWN, done, run, score_quickly, write_data

SAYS = "mixes the data of a batch"
SHORT = ("--steps", 4, "--chains", 2, "--leapfrog", 2, "--start", "guide")


@pytest.fixture(scope="module")
def mixing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doubts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        score_quickly(patch)
        write_data(folder)
        Path("my_model.py").write_text(OWN.replace("self.q(x)", "self.q(x - x.mean(0))"))
        fit = ("--model", "my_model.py:MyVAE", "--data", "vectors.npy", "--epochs", 1, "--score-samples", 30)
        done("fit", *fit, "--device", "cpu", "--out", "run")
        done("compare", *fit, "--device", "cpu", "--guides", "diagonal", "--out", "both")
    return folder


@pytest.fixture(autouse=True)
def here(mixing, monkeypatch):
    monkeypatch.chdir(mixing)
    score_quickly(monkeypatch)


VERBS = {
    "is": ("loglik", "run", "--samples", 30),
    "ais": ("loglik", "run", "--method", "ais", *SHORT),
    "bdmc": ("loglik", "run", "--method", "bdmc", *SHORT),
    "gap": ("gap", "run", "--limit", 3, "--samples", 30, "--ais-steps", 0),
    "evaluate": ("evaluate", "run", "--samples", 30),
}


@pytest.mark.parametrize("verb", VERBS)
def test_text_json_and_arrays_say_it(verb):
    args = (*VERBS[verb], "--trust")
    assert SAYS in " ".join(done(*args).stdout.split())
    found = json.loads(done(*args, "--json").stdout)
    assert found["trusted"] is False
    assert SAYS in found["broken"][0]
    assert SAYS in found["verdict"]
    if verb != "evaluate":
        done(*args, "--out", "each.npz")
        with np.load("each.npz") as arrays:
            assert SAYS in str(arrays["broken"][0])


def test_encode_says_it():
    told = done("encode", "run", "--trust", "--out", "latents.npz")
    assert "warning: these values are not to be trusted" in told.stderr
    with np.load("latents.npz") as arrays:
        assert SAYS in str(arrays["broken"][0])


def test_compare_says_it():
    (row,) = json.loads(Path("both/compare.json").read_text())["runs"]
    assert (row["trusted"], SAYS in row["verdict"], SAYS in row["broken"][0]) == (False, True, True)
    printed = done(
        *("compare", "--model", "my_model.py:MyVAE", "--data", "vectors.npy", "--epochs", 1, "--score-samples", 30),
        *("--device", "cpu", "--guides", "diagonal", "--out", "both", "--overwrite"),
    ).stdout
    assert "diagonal: no figure is to be trusted: the log weight of a datum" in printed


def test_data_of_another_width_are_told_before_anything_is_fitted():
    np.save("wide.npy", np.zeros((30, 7), dtype=np.float32) + np.arange(30, dtype=np.float32)[:, None])
    args = ("--model", "my_model.py:MyVAE", "--data", "wide.npy", "--epochs", 1, "--device", "cpu")
    for told in (run("compare", *args, "--guides", "diagonal", "--out", "w"), run("fit", *args, "--out", "w")):
        assert told.exit_code == 1
        assert "the pair does not run on these data, whose shapes are x (7,): RuntimeError" in told.stderr
        assert "; give data of the shapes that its programs read" in told.stderr
        assert not Path("w/run.json").exists()
