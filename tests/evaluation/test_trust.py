"""How far an estimate may be trusted: the tails of the weights, smoothing, and as many samples as an error asks for."""

import math

import pytest
import torch
from conftest import case, linear
from gaussian import chain

from pyrovae import UsageError, log_likelihood
from pyrovae.evaluation.importance import pareto
from pyrovae.evaluation.importance.growth import doubled, growing, reached
from pyrovae.evaluation.importance.running import Weights
from pyrovae.evaluation.importance.trust import verdict
from pyrovae.evaluation.refitting.refit import refit


def generalized_pareto(k, shape):
    """1 + draws with tail shape k."""
    u = torch.rand(shape, dtype=torch.float64)
    return 1 + (-torch.log(u) if k == 0 else torch.expm1(-k * torch.log(u)) / k)


@pytest.mark.parametrize("k", [-0.3, 0.0, 0.3, 0.6, 1.0])
def test_the_shape_of_a_known_tail_is_found(k):
    """The prior at 0.5, worth ten weights, is the one bias, and it is known."""
    weights = generalized_pareto(k, (400, 2000))
    M = pareto.tail_length(2000)
    assert math.ceil(3 * math.sqrt(2000)) == M
    found = pareto.fit(weights.log().topk(M + 1).values).k
    wanted = (M * k + 5) / (M + 10)
    assert found.mean().item() == pytest.approx(wanted, abs=0.03)
    assert found.std().item() < 2 * (1 + abs(k)) / math.sqrt(M)


def test_smoothed_weights_keep_the_sum_of_a_light_tail_and_steady_a_heavy_one():
    light, heavy = generalized_pareto(0.2, (2000, 500)), generalized_pareto(0.8, (2000, 500))
    M = pareto.tail_length(500)
    spreads = []
    for k, weights in ((0.2, light), (0.8, heavy)):
        largest = weights.log().topk(M + 1).values
        smoothed = pareto.fit(largest).log_smoothed.exp() + weights.sum(1) - largest[:, :-1].exp().sum(1)
        raw = weights.mean(1)
        truth = 1 + 1 / (1 - k)
        if k < 0.5:
            assert (smoothed / 500).mean().item() == pytest.approx(truth, rel=0.02)
        spreads.append(((smoothed / 500).std() / raw.std()).item())
    assert spreads[0] < 1.05
    assert spreads[1] < 0.8


def test_smoothing_does_not_move_with_scale_or_place_of_the_log_weights():
    log_weights = generalized_pareto(0.4, (5, 1000)).log()
    M = pareto.tail_length(1000)
    at_zero, far = (pareto.fit((log_weights + shift).topk(M + 1).values) for shift in (0.0, -700.0))
    torch.testing.assert_close(at_zero.k, far.k, atol=1e-6, rtol=0)
    torch.testing.assert_close(at_zero.log_smoothed, far.log_smoothed + 700, atol=1e-6, rtol=0)


def test_weights_may_come_in_any_parts():
    weights, rows = torch.randn(600, 3, dtype=torch.float64) * 2, torch.arange(3)
    whole, parts = (Weights(3, 600, weights) for _ in range(2))
    whole.add(rows, weights)
    for part in weights.split(37):
        for each in rows.split(2):
            parts.add(each, part[:, each])
    for a, b in zip(whole.estimates(), parts.estimates(), strict=True):
        torch.testing.assert_close(a, b)
    estimates = whole.estimates()
    w = weights.exp()
    torch.testing.assert_close(estimates.log_likelihood, w.mean(0).log())
    torch.testing.assert_close(estimates.ess, w.sum(0).square() / w.square().sum(0))
    relative = w.std(0, correction=0) / w.mean(0) / math.sqrt(600)
    torch.testing.assert_close(estimates.standard_error, relative)


def test_data_with_more_and_with_fewer_weights_are_estimated_as_if_alone():
    weights = torch.randn(900, 3, dtype=torch.float64) * 2
    counts = (900, 120, 20)
    uneven = Weights(3, 10**5, weights)
    for row, count in enumerate(counts):
        uneven.add(torch.tensor([row]), weights[:count, row : row + 1])
    found = uneven.estimates()
    assert uneven.drawn.tolist() == list(counts)
    for row, count in enumerate(counts):
        alone = Weights(1, count, weights)
        alone.add(torch.tensor([0]), weights[:count, row : row + 1])
        for a, b in zip(found, alone.estimates(), strict=True):
            torch.testing.assert_close(a[row], b[0], equal_nan=True)
    assert found.pareto_k.isnan().tolist() == [False, False, True]


def test_pareto_k_is_that_of_the_weights_of_a_narrow_guide():
    """Of a Gaussian with the scale times c < 1 the weights have moments below 1 / (1 - c^2), so k -> 1 - c^2."""
    for wider in (0.5, 0.8):
        found = log_likelihood(linear(wider=wider, n=40).pair, [linear(wider=wider, n=40).x], 40000)
        assert found.pareto_k.mean().item() == pytest.approx(1 - wider**2, abs=0.12)
    bounded = linear(wider=1.5)
    assert (log_likelihood(bounded.pair, [bounded.x], 5000).pareto_k < 0.3).all()


@pytest.mark.parametrize("size", [1, 8, 64])
def test_pareto_k_is_per_datum_and_does_not_depend_on_the_batch(size):
    """Pooled over the batch, it would grow with the batch (-0.6, 0.3 and 2.3 in one library)."""
    narrow = linear(wider=0.7, n=size)
    found = log_likelihood(narrow.pair, [narrow.x], 8000)
    assert found.pareto_k.shape == (size,)
    assert found.pareto_k.mean().item() == pytest.approx(0.51, abs=0.25 if size == 1 else 0.1)


def test_exact_posterior_has_k_of_zero_and_is_trusted():
    exact = linear()
    found = log_likelihood(exact.pair, [exact.x], 100)
    assert (found.pareto_k == 0).all()
    torch.testing.assert_close(found.smoothed, exact.log_p)
    assert found.summary()["trusted"] is True


def test_estimate_is_unbiased_in_exp_for_one_and_for_two_sites():
    """E[exp(estimate)] = p(x), at K = 2, over many estimates of the same datum."""
    wide = linear(wider=1.5, n=1)
    found = log_likelihood(wide.pair, [wide.x.expand(20000, -1)], 2)
    ratio = (found.log_likelihood - wide.log_p).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(20000))
    assert (found.log_likelihood - wide.log_p).mean() < -0.05  # while the estimate itself is biased

    two = chain(n=1)
    from_guide = log_likelihood(two.pair, [two.x], 400000)
    assert (from_guide.log_likelihood - two.log_p).abs() < 5 * from_guide.standard_error


def test_samples_grow_until_the_mean_is_as_certain_as_asked():
    wide = linear(wider=1.6, n=30)
    first = log_likelihood(wide.pair, [wide.x], 50)
    grown = log_likelihood(wide.pair, [wide.x], 50, target_se=0.004)
    assert first.summary()["standard_error"] > 0.004
    for figure in ("standard_error", "bias"):
        assert grown.summary()[figure] <= 0.004
    assert grown.samples == grown.drawn.max() > 50
    assert grown.drawn.min() >= 50
    assert abs(grown.summary()["log_likelihood"] - wide.log_p.mean().item()) < 4 * 0.004


def test_data_whose_weights_are_equal_get_no_more_samples():
    exact = linear(n=10)
    still = log_likelihood(exact.pair, [exact.x], 64, target_se=1e-6)
    assert (still.drawn == 64).all()


def test_data_that_stop_early_are_not_scored_by_the_weights_that_stopped_them():
    """Alike in difficulty, they stop at different K by chance; by the weights that stopped them their mean would lie
    0.02 nats too low, eighteen times the standard error that is asked for."""
    narrow = linear(wider=0.8, n=1)
    found = log_likelihood(narrow.pair, [narrow.x.expand(1600, -1)], 50, target_se=0.00125)
    assert found.drawn.unique().numel() > 1
    summary = found.summary()
    assert max(summary["standard_error"], summary["bias"]) <= 0.00125
    assert abs((found.log_likelihood - narrow.log_p).mean().item()) < 5 * 0.00125


class Errors:
    """Weights whose squared errors fall as 1 / K."""

    def __init__(self, squares, drawn=10):
        self.drawn = torch.full((len(squares),), drawn)
        self.squares = torch.tensor(squares, dtype=torch.float64) * drawn

    def squared_error(self):
        return self.squares / self.drawn


def test_a_target_bounds_error_and_bias_of_the_mean():
    assert reached(Errors([0.04] * 100), 0.021)
    assert not reached(Errors([0.04] * 100), 0.019)
    assert not reached(Errors([0.2] * 10000), 0.05)  # the error is 0.0045, the bias 0.1
    assert not reached(Errors([0.04]), 0.1)  # the error is 0.2, the bias 0.02
    assert reached(Errors([0.04, math.nan, math.inf]), 0.07)


@pytest.mark.parametrize(("n", "square", "target"), [(4, 0.1, 0.1), (1, 0.3, 0.01), (500, 0.6, 0.05), (1000, 3.0, 0.2)])
def test_growth_ends_at_the_target_with_few_draws_too_many(n, square, target):
    found = Errors([square] * n + [1e-9] * n)
    for rows, count in growing(found, target, 10**9):
        assert (found.drawn[rows] == count).all()
        found.drawn[rows] += count
    assert reached(found, target)
    assert (found.drawn[n:] == 10).all()
    found.drawn[:n] //= 2
    assert not reached(found, target)


def test_growth_keeps_the_limit_and_takes_each_datum_once_a_round():
    found = Errors([9.0, 4.0, 4.0])
    found.drawn[1] = 20
    seen = []
    for rows, count in doubled(found, found.drawn > 0, 25):
        seen.append((rows.tolist(), count))
        found.drawn[rows] += count
    assert seen == [([0, 2], 10), ([1], 5)]
    for rows, count in growing(found, 1e-6, 25):
        found.drawn[rows] += count
    assert found.drawn.tolist() == [25, 25, 25]


def test_data_that_are_not_finite_do_not_make_the_others_grow():
    wide = linear(wider=1.4, n=6)
    x = wide.x.clone()
    x[2] = math.nan
    found = log_likelihood(wide.pair, [x], 100, target_se=0.05, max_samples=10**6)
    assert (found.drawn == 100).all()


def test_samples_stop_at_the_limit_and_the_estimate_says_what_it_reached():
    narrow = linear(wider=0.5, n=5)
    found = log_likelihood(narrow.pair, [narrow.x], 50, target_se=1e-4, max_samples=300)
    assert (found.drawn == 300).all()
    assert found.summary()["standard_error"] > 1e-4
    assert found.summary()["target_reached"] is False
    assert "as asked for, were not reached with 300 samples" in found.summary()["verdict"]
    assert found.summary()["samples"] == 300


def test_sentences_may_grow_too():
    tried = case("textvae")
    lengths = (tried.batch[0] != 0).sum(1)
    found = log_likelihood(tried.pair(), tried.batch, 4, lengths=lengths, target_se=1e-4, max_samples=16)
    assert found.log_likelihood.isfinite().all()
    assert found.samples <= 16


@pytest.mark.parametrize(
    ("k", "error", "ess", "drawn", "trusted", "says"),
    [
        ([0.1] * 10, 0.01, 50, 1000, True, "may be trusted: the Pareto k of all 10 data is at most 0.67"),
        ([0.1] * 9 + [0.9], 0.01, 50, 1000, False, "a few weights decide for 1 of 10 data (Pareto k above 0.67"),
        ([0.1] * 9 + [0.9], 0.01, 500, 1000, True, "the Pareto k of 1 of 10 data is above 0.67"),
        ([0.1] * 39 + [0.9], 0.01, 50, 1000, True, "few effective samples for 1 of them"),
        ([math.inf] * 10, 0.01, 500, 1000, True, "with few effective samples for 0 of them"),
        ([0.1] * 39 + [2.6], 0.01, 2, 1000, False, "which alone lower the mean by 0.06"),
        ([0.1] * 39 + [math.inf], 0.01, 2, 1000, False, "which alone lower the mean by 0.025"),
        ([0.1] * 199 + [math.inf], 0.01, 2, 1000, True, "may be trusted"),
        ([0.1] * 10, 0.92, 50, 1000, False, "lies about 0.42 nats too low"),
        ([0.69] * 10, 0.01, 50, 100000, True, "at most 0.70"),
        ([0.69] * 10, 0.01, 9, 100, False, "above 0.50"),
        ([0.69] * 4 + [0.1] * 6, 0.01, 11, 100, True, "above 0.50, with few effective samples for 0 of them"),
        ([0.69] * 10, 0.01, 11, 100, False, "the weights of 10 of 10 data have a heavy tail (Pareto k above 0.50)"),
        ([math.nan] * 3, 0.1, 10, 20, None, "cannot be judged from 20 samples a datum: take 25 or more"),
        ([math.nan, 0.1, 0.1], 0.1, 50, 100, False, "1 of 3 data have weights that are not finite"),
    ],
)
def test_verdicts(k, error, ess, drawn, trusted, says):
    count = len(k)
    filled = (torch.full((count,), value) for value in (error, ess))
    found = verdict(*filled, torch.tensor(k), torch.full((count,), drawn))
    assert found.trusted is trusted
    assert says in found.sentence


@pytest.mark.parametrize(("s", "K"), [(1.5, 1000), (2.5, 1000), (2.5, 100), (3.5, 5000)])
def test_what_log_normal_weights_have_not_met_is_known_to_a_factor(s, K):
    """log E[exp(s e)] = s^2 / 2; far worse weights are told to be worse, too."""
    weights = s * torch.randn(300, K, dtype=torch.float64)
    M = pareto.tail_length(K)
    k = pareto.fit(weights.topk(M + 1).values).k
    off = s**2 / 2 - (weights.logsumexp(1) - math.log(K)).mean().item()
    told = pareto.unmet(k, torch.full((300,), K)).mean().item()
    assert off / 4 < told < 2 * off + 0.01
    worse = pareto.unmet(pareto.fit((8 * weights).topk(M + 1).values).k, torch.full((300,), K))
    assert worse.median() > 1


@pytest.mark.parametrize("proposal", ["guide", "widened", "refit"])
def test_a_verdict_advises_what_was_not_done_and_tells_a_target_that_was_missed(proposal):
    filled = [torch.full((10,), value) for value in (0.01, 50.0, 0.9)]
    found = verdict(*filled, torch.full((10,), 1000), proposal, missed=0.001).sentence
    assert f"proposal='{proposal}'" not in found
    assert f" or {proposal}," not in found
    assert "take proposal=" in found
    assert found.endswith("(error and bias of 0.001 nats, as asked for, were not reached with 1000 samples)")


def test_worst_data_come_first():
    wide = linear(wider=0.6, n=20)
    found = log_likelihood(wide.pair, [wide.x], 3000)
    rows = found.worst(3)
    assert len(rows) == 3
    assert found.pareto_k[rows[0]] == found.pareto_k.max()
    assert found.summary()["worst"][:3] == rows.tolist()


def test_data_whose_weights_are_not_finite_are_the_worst():
    narrow = linear(wider=0.6, n=6)
    x = narrow.x.clone()
    x[3] = math.nan
    found = log_likelihood(narrow.pair, [x], 3000)
    assert (found.pareto_k.nan_to_num() > 0).sum() == 5
    assert found.worst(1).tolist() == [3]
    assert set(found.worst(6).tolist()) == set(range(6))


def test_without_k_the_worst_data_are_those_of_the_largest_error():
    wide = linear(wider=1.6, n=20)
    found = log_likelihood(wide.pair, [wide.x], 20)
    assert found.pareto_k.isnan().all()
    torch.testing.assert_close(found.standard_error[found.worst(20)], found.standard_error.sort(descending=True).values)


def test_weights_tied_with_the_threshold_are_no_tail():
    """As without them (of a discrete latent, or weights of 0): the tail is that of the weights above the threshold."""
    M, above = 60, generalized_pareto(0.4, (5, 40)).sort(descending=True).values
    for rest in (1.0, 0.0):
        ties = torch.full((5, M + 1 - 40), rest, dtype=torch.float64)
        tied = pareto.fit(torch.cat([above, ties], 1).log())
        alone = pareto.fit(torch.cat([above, ties[:, :1]], 1).log())
        torch.testing.assert_close(tied.k, alone.k)
        torch.testing.assert_close(tied.log_smoothed.exp(), alone.log_smoothed.exp() + rest * (M - 40))
        few = pareto.fit(torch.cat([above[:, :3], ties, ties], 1).log())
        assert few.k.isposinf().all()
        torch.testing.assert_close(few.log_smoothed.exp(), above[:, :3].sum(1) + rest * (2 * ties.shape[1] - 1))


def test_a_tail_is_that_of_the_paper():
    """Zhang & Stephens and the smoothing, written out with loops; rows of both kinds of tail at once."""
    weights = torch.cat([generalized_pareto(k, (2, 300)) for k in (-0.5, 0.3, 1.2)])
    M = pareto.tail_length(300)
    largest = weights.topk(M + 1).values
    found = pareto.fit(largest.log())
    for row, k, smoothed in zip(largest.tolist(), found.k.tolist(), found.log_smoothed.exp().tolist(), strict=True):
        x = sorted(w - row[-1] for w in row[:-1])
        m = 30 + int(math.sqrt(M))
        grid = [1 / x[-1] + (1 - math.sqrt(m / (j - 0.5))) / (3 * x[int(M / 4 + 0.5) - 1]) for j in range(1, m + 1)]
        shapes = [sum(math.log1p(-b * each) for each in x) / M for b in grid]
        scores = [M * (math.log(-b / shape) - shape - 1) for b, shape in zip(grid, shapes, strict=True)]
        chances = [math.exp(score - max(scores)) for score in scores]
        b = sum(each * chance for each, chance in zip(grid, chances, strict=True)) / sum(chances)
        raw = sum(math.log1p(-b * each) for each in x) / M
        shape = (M * raw + 5) / (M + 10)
        quantiles = [-raw / b * math.expm1(-shape * math.log1p(-(i + 0.5) / M)) / shape for i in range(M)]
        assert k == pytest.approx(shape, rel=1e-9)
        assert smoothed == pytest.approx(sum(min(row[-1] + each, row[0]) for each in quantiles), rel=1e-9)


def test_refusals():
    exact = linear()
    refitted = refit(exact.pair, [exact.x[:3]], steps=1, rounds=1)
    with pytest.raises(UsageError, match="refitted for 3 data and is to score 20: refit it for the same data"):
        log_likelihood(exact.pair, [exact.x], 5, proposal=refitted)
    for wrong, says in (
        ({"target_se": 0.0}, "target_se = 0 must be a finite number above 0"),
        ({"target_se": 0.1, "max_samples": 5}, "from samples=100 up to max_samples=5"),
        ({"target_se": 0.1, "samples": 1}, "give samples of 2 or more"),
    ):
        with pytest.raises(UsageError, match=says):
            log_likelihood(exact.pair, [exact.x], **{"samples": 100, **wrong})
