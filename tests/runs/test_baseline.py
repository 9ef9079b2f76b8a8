"""A run beside another: the difference is paired, and runs that score other things are refused."""

import math

import numpy as np
import pytest
import torch
from commands import done, run, the_error
from conftest import SMALL

import pyrovae
from pyrovae import PyrovaeError
from pyrovae.evaluation import log_likelihood
from pyrovae.runs.paired import difference, verdict

QUICK = {"epochs": 1, "score_samples": 2, "device": "cpu", "show": False}
TEXT = "the cat sat .\na dog ran off\nthe mat\na cat\n" * 10


def fitted(data, model="vae", **options):
    return pyrovae.fit(model, data=data, **SMALL[model] | QUICK | options)


@pytest.fixture(scope="module")
def gray():
    draw = np.random.default_rng(0)
    return (draw.random((60, 1, 8, 8)) * 255).astype(np.uint8), np.arange(60) % 3


def test_the_difference_is_paired(gray):
    first, second = fitted(gray, seed=0), fitted(gray, seed=1)
    scores = first.evaluate(samples=3, seed=4, baseline=second)
    batch = first.split("test")
    own, other = (log_likelihood(each.pair, batch, 3, seed=4).log_likelihood for each in (first, second))
    delta = own - other
    found = scores["baseline"]
    assert found["difference"] == pytest.approx(delta.mean().item(), rel=1e-6)
    assert found["difference"] == pytest.approx(scores["log_likelihood"] - found["log_likelihood"], rel=1e-5)
    assert found["standard_error"] == pytest.approx(delta.std().item() / math.sqrt(len(delta)), rel=1e-6)
    assert found["num_data"] == len(delta) == 6
    itself = first.evaluate(samples=3, baseline=first)["baseline"]
    assert (itself["difference"], itself["standard_error"]) == (0.0, 0.0)
    assert "baseline" not in first.evaluate(samples=1)


def test_one_datum_has_no_standard_error(gray):
    pair = fitted(gray)
    found = difference(pair, pair, torch.tensor([1.0]), torch.tensor([0.5]))
    assert found["standard_error"] is None
    assert "one datum has no standard error" in found["verdict"]


def test_other_data_are_refused(gray):
    first = fitted(gray)
    with pytest.raises(PyrovaeError, match="was trained on other data"):
        first.evaluate(samples=1, baseline=fitted((255 - gray[0], gray[1])))


def test_numbers_that_are_read_otherwise_are_refused_by_name():
    images = (np.random.default_rng(0).random((60, 8, 8)) * 2).astype(np.uint8) * 255
    alike = {"likelihood": "normal", "binarize": "none"}
    first = fitted(images, **alike)
    with pytest.raises(PyrovaeError, match=r"the x of the test split is not the same in the baseline, .* and pixels"):
        first.evaluate(samples=1, baseline=fitted(images, **alike, pixels=False))
    with pytest.raises(PyrovaeError, match=r"was trained on other data \(.* data options, layout.* among them"):
        first.evaluate(samples=1, baseline=fitted(images, **alike, layout="given"))


def test_pixels_that_are_drawn_otherwise_are_refused(tmp_path):
    """The same files and splits; --data-seed sets the draw of the pixels."""
    draw = np.random.default_rng(0)
    parts = {f"x_{split}": (draw.random((n, 8, 8)) * 255).astype(np.uint8) for split, n in (("train", 40), ("test", 9))}
    parts["x_valid"] = parts["x_test"]
    np.savez(tmp_path / "parts.npz", **parts)
    parts = tmp_path / "parts.npz"
    first, second = (fitted(parts, data_seed=seed, binarize="dynamic") for seed in (0, 1))
    assert first.description["fingerprint"] == second.description["fingerprint"]
    with pytest.raises(PyrovaeError, match="the x of the test split is not the same in the baseline"):
        first.evaluate(samples=1, baseline=second)
    again = fitted(parts, data_seed=0, binarize="dynamic", seed=3)
    assert first.evaluate(samples=1, baseline=again)["baseline"]["num_data"] == 9


def test_densities_and_probabilities_are_not_subtracted(gray):
    normal, bce = (fitted(gray, binarize="none", likelihood=name) for name in ("normal", "bce"))
    with pytest.raises(PyrovaeError, match="by probabilities, the other by densities"):
        normal.evaluate(samples=1, baseline=bce)


def test_parts_of_an_image_are_not_compared_with_all_of_it(gray):
    whole, label = fitted(gray), fitted(gray, "cvae")
    quadrant, half = (fitted(gray, "cvae", condition="quadrants", quadrants=given) for given in (1, 2))
    for first, second in ((quadrant, half), (whole, quadrant), (quadrant, whole)):
        with pytest.raises(PyrovaeError, match="do not score the same part of each image"):
            first.evaluate(samples=1, baseline=second)
    assert label.evaluate(samples=1, baseline=whole)["baseline"]["num_data"] == 6


def test_a_verdict_says_what_two_standard_errors_say():
    assert verdict(1.0, 0.1, "b", False) == "This run explains the data better than b, by 1.000 +- 0.100 nats a datum."
    assert verdict(1.0, 0.1, "b", True).endswith(": z helps.")
    assert verdict(-1.0, 0.1, "b", False) == "b explains the data better than this run, by 1.000 +- 0.100 nats a datum."
    assert "z does not help; its figure is a lower bound" in verdict(-1.0, 0.1, "b", True)
    assert "less than two standard errors, so z is not seen to help" in verdict(0.1, 0.1, "b", True)
    assert "neither is seen to be better" in verdict(-0.1, 0.1, "b", False)


def test_the_command_says_whether_z_helps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.txt").write_text(TEXT)
    (tmp_path / "other.txt").write_text(TEXT.upper())  # the same numbers, which stand for other words
    tiny = ("--epochs", 1, "--score-samples", 2, "--latent-dim", 2, "--hidden", 4, "--device", "cpu", "--quiet")
    fit = ("fit", "--model", "textvae", *tiny)
    done(*fit, "--data", "s.txt", "--out", "z")
    done(*fit, "--data", "s.txt", "--no-z", "--out", "words")
    done(*fit, "--data", "other.txt", "--out", "other")
    found = done("evaluate", "z", "--samples", 2, "--baseline", "words").stdout
    assert "words" in found and "nats a datum" in found
    assert "z helps" in found or "z does not help" in found or "z is not seen to help" in found
    failed = run("evaluate", "z", "--baseline", "other")
    assert failed.exit_code == 1
    assert "other was trained on other words" in the_error(failed.stderr)
    missing = run("evaluate", "z", "--baseline", "nowhere")
    assert missing.exit_code == 2
    assert "nowhere is not a run directory" in the_error(missing.stderr)


def test_a_gain_that_is_not_by_z_is_not_called_one():
    assert verdict(2.0, 0.1, "lm", True, used=False).endswith("nats a datum, but not by z, which it does not use.")
    assert verdict(2.0, 0.1, "lm", True, used=True).endswith(": z helps.")


def test_it_is_told_where_one_run_knows_the_label(gray):
    told = fitted(gray, "cvae").evaluate(samples=2, baseline=fitted(gray))["baseline"]["verdict"]
    assert told.endswith("This run scores log p(x | y), the baseline log p(x): one of them is told more.")
    assert "told more" not in fitted(gray).evaluate(samples=2, baseline=fitted(gray))["baseline"]["verdict"]
