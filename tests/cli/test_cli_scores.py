"""`pyrovae loglik` by every method and proposal, and `pyrovae gap`, on runs of several kinds."""

import json

import numpy as np
import pytest
from commands import done, fit_all, run, score_quickly, the_error, write_data
from PIL import Image

pytestmark = pytest.mark.drawn

RUNS = ("image", "label", "text", "words")
SHORT = ("--steps", 4, "--chains", 2, "--leapfrog", 2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_data(folder)
        fit_all(RUNS)
    return folder


@pytest.fixture(autouse=True)
def here(runs, monkeypatch):
    monkeypatch.chdir(runs)
    score_quickly(monkeypatch)


def printed(*args):
    return json.loads(done(*args, "--json").stdout)


@pytest.mark.parametrize("name", ["image", "label", "text"])
@pytest.mark.parametrize("proposal", ["guide", "widened", "refit"])
def test_proposals(name, proposal):
    found = printed("loglik", name, "--samples", 40, "--proposal", proposal)
    assert found["proposal"] == proposal
    assert found["log_likelihood"] < 0


@pytest.mark.parametrize("name", ["image", "label", "text"])
@pytest.mark.parametrize("method", ["ais", "bdmc"])
def test_methods_by_chains(name, method):
    found = printed("loglik", name, "--method", method, *SHORT)
    assert (found["steps"], found["chains"], found["leapfrog"], found["start"]) == (4, 2, 2, "prior")
    assert found["num_data"] == 4
    value = found["log_likelihood"] if method == "ais" else found["lower"]
    assert value < 0
    table = done("loglik", name, "--method", method, *SHORT, "--start", "guide", "--limit", 2).stdout
    for words in ("2 chains, 4 temperatures, 2 leapfrog steps, from the guide", "acceptance", "seconds"):
        assert words in table
    if method == "bdmc":
        assert found["gap"] == pytest.approx(found["upper"] - found["lower"])
        assert "sandwich width" in table


def test_values_of_each_datum():
    done("loglik", "label", "--method", "ais", *SHORT, "--out", "ais.npz")
    done("loglik", "label", "--method", "bdmc", *SHORT, "--out", "bdmc.npz")
    with np.load("ais.npz") as each:
        assert set(each) == {"log_likelihood", "standard_error", "ess", "acceptance"}
        assert all(values.shape == (4,) for values in each.values())
    with np.load("bdmc.npz") as each:
        assert each["upper"].shape == each["lower"].shape == (4,)


def test_samples_grow_to_a_target():
    found = printed("loglik", "label", "--samples", 30, "--target-se", 0.01, "--max-samples", 400)
    assert 30 < found["samples"] <= 400


def test_the_verdict_is_printed_and_the_worst_are_shown():
    table = done("loglik", "label", "--samples", 40, "--worst", 2).stdout
    for words in ("Pareto k", "smoothed (PSIS)", "worst data", "least to be trusted"):
        assert words in table
    assert any(words in table for words in ("may be trusted", "a lower bound and not a value", "nats too low"))
    done("loglik", "image", "--samples", 40, "--worst", 3, "--out", "worst.png")
    with Image.open("worst.png") as image:
        assert image.format == "PNG"
    assert "cannot be judged from 3 samples a datum" in done("loglik", "label", "--samples", 3).stdout
    assert "exact: nothing is drawn" in done("loglik", "words").stdout


def test_gap():
    args = ("gap", "label", "--limit", 3, "--samples", 30, "--ais-steps", 3, "--chains", 2)
    found = printed(*args)
    assert found["num_data"] == 3
    assert set(found["by_method"]) == {"is", "refit", "ais"}
    mean = {name: found[name]["mean"] for name in ("inference", "approximation", "amortization")}
    assert mean["inference"] == pytest.approx(mean["approximation"] + mean["amortization"])
    table = done(*args, "--out", "gap.npz").stdout
    for words in ("approximation", "amortization", "inference", "3 data", found["verdict"]):
        assert words in table
    with np.load("gap.npz") as each:
        assert set(each) == {"log_likelihood", "standard_error", "best", "elbo"}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("loglik", "label", "--samples", 0), "0 is not in the range 1<=x<=1000000000"),
        (("loglik", "label", "--target-se", 0), "0.0 is not in the range x>0"),
        (
            ("loglik", "label", "--target-se", 0.1, "--max-samples", 10),
            "give --samples of 2 or more, and --max-samples",
        ),
        (("loglik", "label", "--max-samples", 10), "--max-samples has no effect without --target-se"),
        (("loglik", "label", "--wider", 2), "--wider has no effect without --proposal widened"),
        (("loglik", "label", "--proposal", "widened", "--wider", 0.5), "0.5 is not in the range 1<=x<=100"),
        (("loglik", "label", "--steps", 5), "--steps is an option of --method ais or bdmc: leave it out with is"),
        (("loglik", "label", "--method", "ais", "--samples", 5), "--samples is an option of --method is"),
        (("loglik", "label", "--method", "ais", "--worst", 5), "--worst is an option of --method is"),
        (("loglik", "label", "--method", "ais", "--chains", 0), "0 is not in the range 1<=x<=1000000000"),
        (("loglik", "label", "--method", "harmonic"), "'harmonic' is not one of 'is', 'ais', 'bdmc'"),
        (("loglik", "label", "--out", "x.png"), "--out x.png: a .png shows the data of --worst N"),
        (
            ("loglik", "label", "--worst", 3, "--out", "x.pdf"),
            "--out x.pdf: end the name in .csv, .npz, .parquet or .png",
        ),
        (("loglik", "text", "--worst", 3, "--out", "x.png"), "these data are no images"),
        (("loglik", "words", "--method", "ais"), "no latent"),
        (
            ("compare", "--model", "vae", "--guides", "full", "--ais-steps", 3),
            "--ais-steps has no effect without --gaps",
        ),
        (("compare", "--model", "vae", "--guides", "full", "--gaps", 0), "0 is not in the range 1<=x<=1000000000"),
        (("evaluate", "label", "--evenly"), "--evenly says which data --limit keeps, and there is no limit"),
        (("sample", "label", "--temperature", 0.5), "--temperature is of the words of sentences"),
        (("interpolate", "label", "--temperature", 0.5), "--temperature is of the words of sentences"),
        (("reconstruct", "label", "--temperature", 0.5), "--temperature is of the words of sentences"),
        (("gap", "words"), "the pair has no latent site, so there is no guide to refit"),
        (("gap", "label", "--limit", 0), "0 is not in the range 1<=x<=1000000000"),
        (("gap", "nowhere"), "no such folder"),
    ],
)
def test_bad_input_is_one_sentence(args, says):
    result = run(*args)
    assert result.exit_code in (1, 2)
    assert says in the_error(result.stderr)
    assert not result.stdout


@pytest.mark.parametrize("command", [("loglik", "--samples", 20), ("evaluate", "--samples", 20)])
def test_memory_can_be_limited(command, monkeypatch):
    from pyrovae import evaluation
    from pyrovae.runtime import memory

    seen = []
    true = evaluation.chunks.budget
    monkeypatch.setattr("pyrovae.evaluation.chunks.budget", lambda *a, **k: (seen.append(true(*a, **k)), seen[-1])[1])
    name, *options = command
    found = printed(name, "image", *options, "--max-memory", "20KB")
    assert set(seen) == {20_000}
    assert found["log_likelihood"] < 0
    assert memory.limit() is None
    refused = run(name, "image", "--max-memory", "lots")
    assert refused.exit_code == 2
    assert "'lots' is no size of memory: give a number with a unit" in the_error(refused.stderr)
