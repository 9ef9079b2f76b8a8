"""The self-test passes here, and fails where something is wrong."""

import json
import math

import pytest
import torch
from commands import run
from conftest import linear

from pyrovae import evaluation
from pyrovae.evaluation import LogLikelihood
from pyrovae.testing import selftest
from pyrovae.testing.gaussian import LinearGaussian
from pyrovae.testing.selftest import Check


def test_every_check_passes_and_generators_are_left_alone():
    """As the command does it, which README.md shows."""
    state, found = torch.get_rng_state(), []
    with pytest.MonkeyPatch.context() as patch:
        tested = selftest.selftest
        patch.setattr(selftest, "selftest", lambda *given, **options: found.extend(tested(*given, **options)) or found)
        result = run("selftest")
    assert result.exit_code == 0, result.stderr
    assert [check for check in found if not check.passed] == []
    assert len(found) >= 15
    assert torch.equal(state, torch.get_rng_state())


def test_a_wrong_estimate_is_seen(monkeypatch):
    """As if log K had been forgotten, for one of the estimators."""
    wide = linear(wider=1.2, n=100)
    log_p = wide.log_p.mean().item()
    assert all(check.passed for check in selftest._bounds(wide.pair, wide.x, log_p))
    right = evaluation.log_likelihood

    def wrong(pair, batch, samples=1000, **options) -> LogLikelihood:
        found = right(pair, batch, samples, **options)
        return LogLikelihood(**(found.__dict__ | {"log_likelihood": found.log_likelihood + math.log(samples)}))

    monkeypatch.setattr(evaluation, "log_likelihood", wrong)
    assert not all(check.passed for check in selftest._bounds(wide.pair, wide.x, log_p))


@pytest.mark.parametrize(("found", "passed"), [(1.05, True), (0.85, False), (math.nan, False), (math.inf, False)])
def test_a_check_passes_within_what_is_allowed(found, passed):
    assert Check("x", found, 1.0, 0.1).passed is passed


def test_a_failed_check_is_an_exit_code(monkeypatch):
    monkeypatch.setattr(selftest, "selftest", lambda device: [Check("a", 1.0, 1.0, 0.1), Check("b", 2.0, 1.0, 0.1)])
    result = run("selftest")
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert "1 of 2 checks failed" in result.stdout
    found = json.loads(run("selftest", "--json").stdout)
    assert found["passed"] is False
    assert [check["passed"] for check in found["checks"]] == [True, False]


def test_a_device_that_is_not_there_is_refused():
    result = run("selftest", "--device", "cuda:99")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")


def test_closed_forms_of_the_linear_gaussian_model():
    """log p by importance sampling from the exact posterior, and the diagonal gap by the KL of two Gaussians."""
    model = LinearGaussian(torch.randn(4, 2, dtype=torch.float64), torch.randn(4, dtype=torch.float64), 0.6)
    x = model.draw(5)
    covariance = torch.linalg.inv(model.precision())
    posterior = torch.distributions.MultivariateNormal(model.posterior_mean(x), covariance)
    z = posterior.sample()
    joint = torch.distributions.Normal(z @ model.W.T + model.b, 0.6).log_prob(x).sum(-1)
    joint = joint + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(joint - posterior.log_prob(z), model.log_p(x))
    scale = model.precision().diagonal().rsqrt()
    diagonal = torch.distributions.MultivariateNormal(model.posterior_mean(x), scale_tril=scale.diag())
    gap = torch.distributions.kl_divergence(diagonal, posterior)
    torch.testing.assert_close(gap, torch.full_like(gap, model.diagonal_gap()))
