"""The inference gap taken apart, against closed forms."""

from types import SimpleNamespace

import pytest
import torch
from conftest import case
from gaussian import chain, known

from pyrovae import PyrovaeError, UsageError
from pyrovae.comparison.scored import Gaps, Scored
from pyrovae.comparison.table import share_log_p
from pyrovae.evaluation import ais, elbo, gap
from pyrovae.evaluation.gap import Gap, surest
from pyrovae.evaluation.refitting.refit import refit


@pytest.fixture(scope="module")
def found():
    torch.manual_seed(0)
    exact = known("diagonal", n=5)
    refitted = refit(exact.pair, [exact.x], steps=200, lr=1e-2)
    return exact, gap(exact.pair, [exact.x], samples=2000, ais_steps=120, chains=24, refitted=refitted)


def test_gaps_are_the_known_ones(found):
    exact, gaps = found
    assert gaps.converged
    error = gaps.summary()["monte_carlo_error"]
    assert error < 0.1
    assert gaps.log_likelihood.mean().item() == pytest.approx(exact.log_p.mean().item(), abs=4 * error)
    assert gaps.best.mean().item() == pytest.approx(exact.log_p.mean().item() - exact.diagonal_gap, abs=0.04)
    torch.testing.assert_close(gaps.inference, gaps.approximation + gaps.amortization)
    assert gaps.elbo.mean().item() == pytest.approx(exact.log_p.mean().item() - gaps.inference.mean().item(), abs=0.1)
    single = elbo(exact.pair, [exact.x.expand(1, 5, 5).repeat(400, 1, 1).flatten(0, 1)])["elbo"]
    assert gaps.elbo.mean().item() == pytest.approx(single, rel=0.05)


def test_the_best_of_three_lower_bounds_is_taken(found):
    _, gaps = found
    assert set(gaps.by_method) == {"is", "refit", "ais"}
    assert gaps.by_method[gaps.method] == gaps.log_likelihood.mean().item()
    assert gaps.by_method[gaps.method] > gaps.by_method["is"] + 0.1
    assert gaps.by_method["refit"] > gaps.by_method["is"]  # this guide is far off


def test_summary_has_errors_over_the_data(found):
    _, gaps = found
    summary = gaps.summary()
    assert summary["num_data"] == 5
    for name in ("log_likelihood", "best", "elbo", "approximation", "amortization", "inference"):
        value = getattr(gaps, name)
        assert summary[name]["mean"] == pytest.approx(value.mean().item())
        assert summary[name]["standard_error"] == pytest.approx(value.std().item() / 5**0.5)
    assert "encoder's" in summary["verdict"]


def test_a_family_that_holds_the_posterior_has_no_approximation_gap():
    exact = chain(n=4)
    refitted = refit(exact.pair, [exact.x], steps=150, lr=2e-2)
    gaps = gap(exact.pair, [exact.x], samples=2000, ais_steps=0, refitted=refitted)
    assert set(gaps.by_method) == {"is", "refit"}
    assert gaps.approximation.mean().item() == pytest.approx(0, abs=0.07)
    assert gaps.amortization.mean() > 1


def test_what_the_verdict_says_follows_the_larger_gap():
    one = torch.ones(3, dtype=torch.float64)

    def say(approximation, amortization, converged=True):
        best = -approximation * one
        return Gap(0 * one, "is", {}, 0 * one, best, best - amortization, 0.02, converged, 0.0).verdict()

    assert "richer guide" in say(2.0, 1.0)
    assert "wider or deeper" in say(1.0, 2.0)
    assert "little to gain" in say(0.01, 0.02)
    assert "has not converged (its last round gained 0.020 nats" in say(2.0, 1.0, converged=False)


def test_the_surest_estimate_is_neither_the_noisiest_nor_one_that_is_not_finite():
    one = torch.ones(4, dtype=torch.float64)
    nan, sure, higher, noisy = torch.nan * one, (0 * one, 0.1 * one), (one, 0.1 * one), (one + 0.1, 3 * one)
    assert surest({"sure": sure, "noisy": noisy}) == "sure"
    assert surest({"sure": sure, "noisy": noisy, "higher": higher}) == "higher"
    assert surest({"of one sample": (9 * one, nan), "sure": sure}) == "sure"
    assert surest({"lost": (nan, nan), "sure": sure}) == "sure"
    assert surest({"impossible": (-torch.inf * one, nan), "of one sample": (-5 * one, nan)}) == "of one sample"
    assert surest({"a": (-5 * one, nan), "b": (-3 * one, nan)}) == "b"


def test_gaps_of_a_comparison_are_of_data_that_are_compared():
    training = SimpleNamespace(score_limit=5)
    run = SimpleNamespace(data=SimpleNamespace(size=lambda split: 101), recipe=SimpleNamespace(training=training))
    scored = Scored(run, Gaps(3))
    assert scored.rows.tolist() == [0, 25, 50, 75, 100]
    assert scored.gap_rows.tolist() == [0, 50, 100]
    assert Scored(run).gap_rows is None


def test_one_model_has_one_log_p():
    """Not the highest mean: that is the luckiest."""
    one = torch.ones(4, dtype=torch.float64)
    rows = {name: {"log_p": value * one, "best": -2 * one} for name, value in (("a", 0.0), ("b", 0.5))}
    rows["none"] = {"log_p": None, "best": None}
    share_log_p(rows, {"a": 0.1 * one, "b": 2 * one})
    for name in "ab":
        torch.testing.assert_close(rows[name]["log_p"], 0 * one)
        torch.testing.assert_close(rows[name]["approximation"], 2 * one)
    assert rows["none"]["log_p"] is None


def test_a_datum_that_is_not_finite_is_said():
    exact = known("diagonal", n=3)
    x = exact.x.clone()
    x[1] = torch.nan
    refitted = refit(exact.pair, [x], steps=5, rounds=1)
    gaps = gap(exact.pair, [x], samples=30, ais_steps=3, chains=2, refitted=refitted)
    assert "1 of 3 data have no finite ELBO or log p(x)" in gaps.verdict()
    assert gaps.approximation.isfinite().tolist() == [True, False, True]


def test_what_is_known_of_other_data_is_refused():
    exact = known("diagonal", n=3)
    refitted = refit(exact.pair, [exact.x[:2]], steps=1, rounds=1)
    with pytest.raises(UsageError, match="a guide refitted for 2 data was given with 3 data"):
        gap(exact.pair, [exact.x], samples=30, refitted=refitted)
    annealed = ais(exact.pair, [exact.x[:2]], 2, 2)
    with pytest.raises(UsageError, match="annealing for 2 data was given with 3 data"):
        gap(exact.pair, [exact.x], samples=30, annealed=annealed)


def test_a_pair_without_latents_is_refused():
    wordy = case("textvae-no-z")
    with pytest.raises(PyrovaeError, match="no latent site"):
        gap(wordy.pair(), wordy.batch)
