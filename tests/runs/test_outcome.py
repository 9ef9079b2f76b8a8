"""How a fit ended: attributes, the names of run.json, and back."""

import json
from pathlib import Path

import pytest

import pyrovae
from pyrovae.errors import PyrovaeError
from pyrovae.runs.outcome import FinalScores, Outcome

KEPT = Path(__file__).parent / "kept" / "vae" / "run.json"
SHORT = {"epochs": 1, "hidden": (5,), "latent_dim": 2, "score_samples": 3, "compile": False, "show": False}


def test_what_an_earlier_version_saved_is_read_and_written_as_it_was():
    results = json.loads(KEPT.read_text())["results"]
    outcome = Outcome.of(results)
    assert (outcome.stopped, outcome.steps, outcome.engine) == ("done", 22, "eager")
    assert outcome.test.elbo == results["test_elbo"]
    assert -(outcome.test.rate + outcome.test.distortion) == pytest.approx(outcome.test.elbo)
    assert list(outcome.summary().items()) == list(results.items())


def test_a_classifier_has_its_accuracy_among_the_scores():
    accuracy = {"accuracy": 0.5, "accuracy_error": 0.1, "accuracy_data": 9}
    test = FinalScores(-3.0, 1.0, 2.0, accuracy, -4.0, {"ess": 2}, 1)
    summary = test.summary()
    assert list(summary)[:6] == [f"test_{n}" for n in ("elbo", "rate", "distortion", *accuracy)]
    assert FinalScores.of(summary) == test


def test_a_run_has_them_as_attributes_and_by_name(tmp_path):
    run = pyrovae.fit("vae", **SHORT, out=tmp_path / "run")
    assert run.outcome.test.elbo == run.results["test_elbo"] == pyrovae.load(tmp_path / "run").outcome.test.elbo
    assert dict(run.results) == json.loads((tmp_path / "run" / "run.json").read_text())["results"]
    assert dict(pyrovae.load(tmp_path / "run").outcome) == dict(run.outcome)


def test_what_is_not_over_has_no_outcome():
    for results in ({}, {"stopped": "done"}, {"steps": 3, "test_elbo": -1.0}):
        with pytest.raises(PyrovaeError, match="do not say how its fit ended"):
            Outcome.of(results)
