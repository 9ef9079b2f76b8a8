"""The importance-sampled log-likelihood against the closed form of a linear-Gaussian pair."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from conftest import case, linear
from torch import nn

from pyrovae import Pair, PyrovaeError, UsageError, log_likelihood
from pyrovae.evaluation import chunks, diagnose
from pyrovae.evaluation.importance import sampler
from pyrovae.runtime.progress import progress


@pytest.mark.parametrize(("samples", "chunk"), [(1, None), (7, 3), (7, 1), (10, 100), (64, None)])
def test_exact_posterior_gives_log_p_exactly_for_any_samples_and_chunk(samples, chunk):
    exact = linear()
    found = log_likelihood(exact.pair, [exact.x], samples, chunk)
    torch.testing.assert_close(found.log_likelihood, exact.log_p, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.ess, torch.full_like(exact.log_p, samples))
    error = torch.full_like(exact.log_p, 0.0 if samples > 1 else torch.nan)  # one sample does not know
    torch.testing.assert_close(found.standard_error, error, atol=1e-6, rtol=0, equal_nan=True)
    assert found.samples == samples


@pytest.mark.parametrize("data", [1, 7, 300])
def test_exact_for_any_split_of_the_batch_and_any_order(monkeypatch, data):
    pieces = lambda one, n, *rest: [chunks.Piece(rows, 3) for rows in torch.arange(n).split(data)]  # noqa: E731
    monkeypatch.setattr(sampler, "pieces", pieces)
    exact, order = linear(n=300), torch.randperm(300)
    found = log_likelihood(exact.pair, [exact.x[order]], samples=5).log_likelihood
    torch.testing.assert_close(found, exact.log_p[order], atol=1e-10, rtol=0)


def test_estimates_lie_within_their_standard_errors():
    wide = linear(wider=1.5)
    for chunk in (None, 300, 7):
        found = log_likelihood(wide.pair, [wide.x], samples=2000, chunk=chunk)
        assert ((found.log_likelihood - wide.log_p).abs() < 4 * found.standard_error).all()
        assert (found.standard_error > 0).all()


def test_standard_errors_are_calibrated():
    """The same datum 2,000 times: the spread of the estimates is what each says about itself."""
    wide = linear(wider=1.5, n=1)
    found = log_likelihood(wide.pair, [wide.x.expand(2000, -1)], samples=200)
    standardised = (found.log_likelihood - wide.log_p) / found.standard_error
    assert standardised.std().item() == pytest.approx(1, abs=0.08)
    assert standardised.mean().abs() < 0.15
    wanted = math.sqrt((wide.second_moment - 1) / 200)
    assert found.standard_error.mean().item() == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("size", [1, 8, 64])
def test_effective_sample_size_is_per_datum_and_does_not_depend_on_the_batch(size):
    """Pooled over the batch, it would fall with the batch: 0.69, 0.05 and 1e-10 of K here."""
    wide = linear(wider=1.5, n=size)
    found = log_likelihood(wide.pair, [wide.x], samples=4000)
    assert found.ess.shape == (size,)
    torch.testing.assert_close(found.ess / 4000, torch.full_like(found.ess, 1 / wide.second_moment), rtol=0.05, atol=0)


def test_bound_rises_with_samples_and_stays_below():
    wide = linear(wider=1.5, n=1)
    means = [
        log_likelihood(wide.pair, [wide.x.expand(3000, -1)], samples=K).log_likelihood.mean().item()
        for K in (1, 3, 10, 100)
    ]
    error = 0.02
    assert means == sorted(means)
    assert means[0] == pytest.approx(wide.log_p.item() - wide.kl, abs=3 * error)  # K = 1 is the ELBO
    assert means[-1] == pytest.approx(wide.log_p.item(), abs=error)


def test_same_seed_same_numbers_and_nothing_is_moved():
    wide = linear(wider=1.5)
    state, weights = torch.get_rng_state(), [p.detach().clone() for p in wide.pair.parameters()]
    a, b, c = (log_likelihood(wide.pair, [wide.x], 10, seed=seed).log_likelihood for seed in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, before) for p, before in zip(wide.pair.parameters(), weights, strict=True))


def test_weights_of_very_unlikely_data_do_not_underflow():
    exact = linear()
    far = exact.x + 1000
    found = log_likelihood(exact.pair, [far], samples=3)
    assert (found.log_likelihood < -1e5).all()
    assert found.log_likelihood.isfinite().all()
    assert found.ess.isfinite().all()


def test_a_site_outside_the_plate_is_refused_by_name(global_pair):
    x = torch.randn(6, 2)
    for score in (lambda: log_likelihood(global_pair, [x], 2), lambda: diagnose(global_pair, [x])):
        with pytest.raises(PyrovaeError, match=r"\['b'\] stand outside plate 'data'"):
            score()


def test_a_missing_latent_and_a_missing_to_event_are_refused_by_name():
    class Model(nn.Module):
        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    class Guide(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, x):
            with pyro.plate("data", len(x), dim=-1):
                pyro.sample(self.name, dist.Normal(x, 1.0).to_event(1))

    x = torch.randn(2, 2)  # as many data as dims: nothing else would notice
    with pytest.raises(PyrovaeError, match=r"site 'x' has log_prob of shape \(2, 2\).*to_event"):
        log_likelihood(Pair(Model(), Guide("z")), [x], 2)
    with pytest.raises(PyrovaeError, match=r"\['code', 'z'\] stand in only one"):
        log_likelihood(Pair(Model(), Guide("code")), [x], 2)


def test_a_pair_without_latents_is_exact():
    tried = case("textvae-no-z")
    pair, (x,) = tried.pair().eval(), tried.batch
    found = log_likelihood(pair, [x], samples=50)
    decoder = pair.model.decoder
    before = torch.cat([torch.full((len(x), 1), decoder.bos), x[:, :-1]], 1)
    scores = decoder.logits(torch.zeros(len(x), 0), before)[..., 2:].log_softmax(-1)  # neither <pad> nor <bos>
    words = scores.gather(-1, (x - 2).clamp_min(0)[..., None])[..., 0]
    wanted = (words * (x != decoder.pad)).sum(-1)
    torch.testing.assert_close(found.log_likelihood.float(), wanted.detach())
    assert found.samples == 1
    assert (found.ess == 1).all()
    assert (found.standard_error == 0).all()


def test_summary_and_refusals():
    exact = linear()
    summary = log_likelihood(exact.pair, [exact.x], 3).summary()
    assert summary["log_likelihood"] == pytest.approx(exact.log_p.mean().item())
    assert summary["standard_error_data"] == pytest.approx(exact.log_p.std().item() / math.sqrt(20))
    assert (summary["samples"], summary["num_data"], summary["ess"]) == (3, 20, pytest.approx(3))
    assert log_likelihood(exact.pair, [exact.x[:1]], 3).summary()["standard_error_data"] is None
    for samples, chunk in ((0, None), (1, 0)):
        with pytest.raises(UsageError, match="at least 1"):
            log_likelihood(exact.pair, [exact.x], samples, chunk)
    with pytest.raises(PyrovaeError, match="no data"):
        log_likelihood(exact.pair, [exact.x[:0]], 3)


def test_progress_counts_data(capsys):
    exact = linear()
    log_likelihood(exact.pair, [exact.x], 3, show=progress(True))
    assert "log-likelihood 20/20" in capsys.readouterr().err


@pytest.mark.parametrize("features", [4, 4000])
def test_pieces_fit_the_memory_that_a_datum_takes_and_not_that_of_the_weights(features):
    net, x, cpu = torch.nn.Linear(50, features), torch.randn(1, 50), torch.device("cpu")
    one = chunks.bytes_of(lambda: net(x))
    assert one == 4 * features
    cut = chunks.pieces(one, 1000, 5000, cpu)
    assert torch.equal(torch.cat([piece.rows for piece in cut]), torch.arange(1000))
    assert len({(len(piece.rows), piece.samples) for piece in cut[:-1]}) == 1
    for rows, samples in cut:
        assert len(rows) * samples * features * 4 * chunks.LIVE <= chunks.CPU_BYTES
    rows, samples = cut[0]
    assert 2 * len(rows) * samples * features * 4 * chunks.LIVE > min(chunks.CPU_BYTES, chunks.MOST_DATA * 5000 * 64)
    assert [(len(p.rows), p.samples) for p in chunks.pieces(10**9, 2, 5000, cpu)] == [(1, 1)] * 2
    assert [(len(p.rows), p.samples) for p in chunks.pieces(1, 3, 2, cpu)] == [(3, 2)]


def test_what_is_made_of_parameters_alone_is_not_of_a_datum():
    net, inputs, x = torch.nn.Linear(50, 60), torch.nn.Parameter(torch.randn(700, 50)), torch.randn(1, 60)
    made = lambda: torch.nn.functional.hardtanh(inputs, 0.0, 1.0)  # noqa: E731
    assert chunks.bytes_of(lambda: net(made()).relu()) == 1
    assert chunks.bytes_of(lambda: x @ net(made()).relu().T) == 4 * 700
    assert chunks.bytes_of(lambda: net(made() + torch.zeros(50))) == 4 * 700 * 60  # as masks, buffers are no parameters


@pytest.mark.parametrize(
    ("samples", "most", "size"), [(5000, 1337, 1250), (10, 3, 3), (7, 7, 7), (7, 100, 7), (5, 1, 1)]
)
def test_samples_are_cut_evenly(samples, most, size):
    assert chunks.even(samples, most) == size


def test_long_sentences_come_first_among_their_like():
    lengths = torch.tensor([3, 9, 1, 9, 2, 8, 1, 1])
    cut = chunks.pieces(chunks.CPU_BYTES_OF_SEQUENCES // chunks.LIVE // 4, 8, 2, torch.device("cpu"), lengths)
    assert sorted(torch.cat([piece.rows for piece in cut]).tolist()) == list(range(8))
    assert lengths[torch.cat([piece.rows for piece in cut])].tolist() == [9, 9, 8, 3, 2, 1, 1, 1]
    assert [len(piece.rows) for piece in cut] == [2, 2, 4]  # the last are short


def test_sentences_are_scored_alike_in_any_company():
    tried = case("textvae-no-z")
    (x,) = tried.batch
    lengths = (x != 0).sum(-1)
    assert lengths.min() < lengths.max()
    found = [log_likelihood(tried.pair(), [x], lengths=by).log_likelihood for by in (None, lengths)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("compile", [None, True])
def test_lowered_weights_give_the_same_estimates(monkeypatch, compile):
    monkeypatch.setattr("pyrovae.lowering.engine.FEW", 0)
    seen, true = [], sampler.lower
    monkeypatch.setattr(sampler, "lower", lambda *a: (seen.append(true(*a)), seen[-1])[1])
    for name in ("vae-conv", "cvae"):
        tried = case(name, "iaf:steps=2:hidden=8")
        found = [log_likelihood(tried.pair(), tried.batch, 70, chunk=30, compile=mode) for mode in (compile, False)]
        assert [engine.tier for engine in seen] == ["compiled" if compile else "traced", "eager"]
        torch.testing.assert_close(found[0].log_likelihood, found[1].log_likelihood, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found[0].ess, found[1].ess, rtol=1e-3, atol=1e-3)
        seen.clear()


@pytest.mark.parametrize("name", ["vae", "textvae"])
def test_an_estimate_that_cannot_be_lowered_says_so(monkeypatch, capsys, name):
    def refused(*arguments):
        return sampler.Engine(arguments[1], "eager", "it is a test")

    monkeypatch.setattr(sampler, "lower", refused)
    tried = case(name)
    lengths = (tried.batch[0] != 0).sum(-1) if name == "textvae" else None
    log_likelihood(tried.pair(), tried.batch, 3, show=progress(True), lengths=lengths, compile=True)
    reason = "it is a test" if lengths is None else "sentences differ in length from piece to piece"
    assert f"note: the log-likelihood runs in eager Pyro, because {reason}" in capsys.readouterr().err


def test_the_pair_is_lowered_only_where_it_is_called_often():
    seen = []
    lower = sampler.lower
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sampler, "lower", lambda *a: (seen.append(a[3]), lower(*a))[1])
        log_likelihood(case("vae").pair(), case("vae").batch, 70, chunk=30)
    assert seen == [3]  # 30, 30 and 10 samples of one piece


def test_progress_tells_the_mean_and_its_error(capsys):
    exact = linear(wider=1.5)
    found = log_likelihood(exact.pair, [exact.x], 300, show=progress(True)).summary()
    told = capsys.readouterr().err.splitlines()[-1]
    mean, error = f"{found['log_likelihood']:.2f}", f"{found['standard_error']:.3g}"
    assert told == f"log-likelihood 20/20  log-likelihood {mean}  standard-error {error}"
