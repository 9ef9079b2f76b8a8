"""Runs that earlier versions saved load, score and go on as they did then."""

import shutil
from pathlib import Path

import pytest
import torch

import pyrovae

KEPT = Path(__file__).parent / "kept"

VAE = {"log_likelihood": -33.80955799760554, "test_elbo": -36.98945583767361, "valid_elbo": -37.119533962673614}
"""Of the commit that saved it: `loglik --samples 100 --limit 50`, and `fit --resume --epochs 3`. The last bits of
products differ from machine to machine."""


@pytest.fixture
def kept(tmp_path):
    return Path(shutil.copytree(KEPT / "vae", tmp_path / "vae"))


def test_a_kept_run_scores_as_it_did(kept):
    run = pyrovae.load(kept)
    assert run.recipe.guide == "iaf:steps=1:hidden=8"
    result = run.log_likelihood(samples=100, limit=50, show=False)
    assert result.log_likelihood.mean().item() == pytest.approx(VAE["log_likelihood"], abs=1e-3)


def test_a_kept_run_goes_on_as_it_did(kept):
    run = pyrovae.fit(resume=kept, epochs=3, show=False)
    assert [metrics["step"] for metrics in run.metrics] == [11, 22, 33]
    assert run.metrics[-1]["valid_elbo"] == pytest.approx(VAE["valid_elbo"], abs=1e-3)
    assert run.results["test_elbo"] == pytest.approx(VAE["test_elbo"], abs=1e-3)


VECTOR = {"log_likelihood": -20636894.105169162, "test_elbo": -20613710.666666668, "valid_elbo": -26123968.0}
"""Of the commit before vectors were standardised: `samples=100`, and `epochs=3`."""


def test_a_kept_run_on_vectors_is_not_standardised_and_scores_and_goes_on_as_it_did(tmp_path):
    i, j = torch.meshgrid(torch.arange(60), torch.arange(4), indexing="ij")
    x = ((i * (7 + j)) % 11 - 5) * 10.0**j
    kept = shutil.copytree(KEPT / "vector", tmp_path / "vector")
    run = pyrovae.load(kept, data=x)
    result = run.log_likelihood(samples=100, show=False)
    assert result.log_likelihood.mean().item() == pytest.approx(VECTOR["log_likelihood"], rel=1e-5)
    run = pyrovae.fit(resume=kept, data=x, epochs=3, show=False)
    assert run.metrics[-1]["valid_elbo"] == pytest.approx(VECTOR["valid_elbo"], rel=1e-5)
    assert run.results["test_elbo"] == pytest.approx(VECTOR["test_elbo"], rel=1e-5)
    assert not run.fields["x"].standardized
