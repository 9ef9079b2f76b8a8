"""Memory that runs out while scoring: the rest is done in smaller pieces, and the scores stay what they are."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from commands import score_quickly
from conftest import case, linear
from gaussian import known
from torch import nn

from pyrovae import Pair, evaluation
from pyrovae.errors import PyrovaeError, UsageError, is_out_of_memory
from pyrovae.evaluation.chunks import CPU_BYTES, budget
from pyrovae.evaluation.importance import sampler
from pyrovae.runtime import memory
from pyrovae.runtime.progress import progress
from pyrovae.runtime.seeding import seeded
from pyrovae.runtime.sizes import bytes_in

CPU = torch.device("cpu")
ON_CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory")
ON_CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


class Scarce(nn.Module):
    """A program for whose values there is memory where its log_prob has at most so many; it draws before it fails.

    `shape` is that of the largest that fitted.
    """

    def __init__(self, program, most, error):
        super().__init__()
        self.program, self.most, self.error, self.failed, self.largest = program, most, error, 0, 0

    def forward(self, x):
        from pyro.poutine.runtime import _PYRO_STACK

        particles = [frame.size for frame in _PYRO_STACK if getattr(frame, "name", None) == "particles"]
        size = len(x) * (particles or [1])[0]
        out = self.program(x)
        if size > self.most:
            self.failed += 1
            raise self.error
        self.largest = max(self.largest, size)
        return out


def scarce(exact, most, error=ON_CUDA):
    """The same pair with little memory for its model."""
    return Pair(Scarce(exact.pair.model, most, error), exact.pair.guide)


def close(found, exact):
    """Each estimate is as near to log p(x) as its own error says."""
    assert (found.log_likelihood - exact.log_p).abs().max() < 5 * found.standard_error.max() + 1e-9


@pytest.mark.parametrize("error", [ON_CPU, ON_CUDA, MemoryError()], ids=["cpu", "cuda", "python"])
@pytest.mark.parametrize("most", [2000, 7])
def test_the_log_likelihood_is_one_estimate_however_small_the_pieces(most, error, capsys):
    exact, K = linear(wider=1.3, n=11), 12 if most < 10 else 300
    pair = scarce(exact, most, error)
    found = evaluation.log_likelihood(pair, [exact.x], K, compile=False, show=progress(True))
    assert pair.model.failed and pair.model.largest <= most
    assert (found.drawn == K).all()
    close(found, exact)
    again = evaluation.log_likelihood(scarce(exact, most, error), [exact.x], K, compile=False)
    assert torch.equal(found.log_likelihood, again.log_likelihood)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert [line.split(":")[1] for line in told] == [f" memory ran out at {11 * K:,} samples at once"]


def test_the_noise_is_that_of_a_run_with_these_pieces_from_the_start():
    exact = linear(wider=1.3, n=4)
    halved = evaluation.log_likelihood(scarce(exact, 300), [exact.x], 100, compile=False)  # 400, then 4 x 50
    given = evaluation.log_likelihood(exact.pair, [exact.x], 100, chunk=50, compile=False)
    assert torch.equal(halved.log_likelihood, given.log_likelihood)


@pytest.mark.parametrize("nth", [0, 2, 4])
def test_what_was_done_before_memory_ran_out_stays(monkeypatch, nth):
    """At the nth piece, once."""
    exact, calls = linear(wider=1.3, n=4), []
    true = sampler.Sampler._weights

    def weights(self, rows, K):
        calls.append((len(rows), K))
        found = true(self, rows, K)
        if len(calls) == nth + 1:
            raise ON_CPU
        return found

    monkeypatch.setattr(sampler.Sampler, "_weights", weights)
    found = evaluation.log_likelihood(exact.pair, [exact.x], 100, chunk=20, compile=False)
    assert calls == [(4, 20)] * (nth + 1) + [(4, 10)] * (2 * (5 - nth))
    assert (found.drawn == 100).all()
    close(found, exact)


def test_weights_are_added_all_or_none(monkeypatch):
    """Memory may run out among the sums, too: what they had is not there twice then."""
    exact, calls = linear(wider=1.3, n=4), []
    true = torch.Tensor.topk

    def topk(self, *args, **options):
        calls.append(None)
        if len(calls) == 2:
            raise ON_CPU
        return true(self, *args, **options)

    monkeypatch.setattr(torch.Tensor, "topk", topk)
    found = evaluation.log_likelihood(exact.pair, [exact.x], 40, chunk=20, compile=False)
    monkeypatch.undo()
    assert (found.drawn == 40).all()
    plain = evaluation.log_likelihood(exact.pair, [exact.x], 40, chunk=20, compile=False)
    torch.testing.assert_close(found.log_likelihood, plain.log_likelihood)  # the noise of 20 is that of 10 and 10
    torch.testing.assert_close(found.ess, plain.ess)


def test_a_lowered_estimate_goes_on_where_its_verification_had_no_memory(monkeypatch):
    from pyrovae.lowering import engine

    true, seen = engine.verify, []

    def verify(lowered, examples, *rest):
        seen.append(lowered.function.keywords["K"])
        if seen[-1] > 20:
            raise ON_CUDA
        true(lowered, examples, *rest)

    monkeypatch.setattr(engine, "verify", verify)
    exact = linear(wider=1.3, n=4)
    found = evaluation.log_likelihood(exact.pair, [exact.x], 70, compile=True)
    assert seen[:3] == [70, 35, 17]
    assert (found.drawn == 70).all()
    close(found, exact)


def test_the_target_is_reached_with_little_memory():
    exact = linear(wider=1.5, n=6)
    found = evaluation.log_likelihood(scarce(exact, 40), [exact.x], 20, target_se=0.02)
    assert found.target_reached
    close(found, exact)


def test_a_refitted_proposal_with_little_memory():
    exact = linear(wider=1.3, n=5)
    refitted = evaluation.refit(exact.pair, [exact.x], steps=20, rounds=1)
    pair = Pair(Scarce(exact.pair.model, 30, ON_CPU), exact.pair.guide)
    found = evaluation.log_likelihood(pair, [exact.x], 50, proposal=refitted)
    assert pair.model.failed
    close(found, exact)


def test_elbo_and_diagnostics_are_those_of_these_pieces(capsys):
    exact, show = linear(wider=1.3, n=11), progress(True)
    batch = [exact.x]
    for score in (
        lambda pair, size, show: evaluation.elbo(pair, batch, size, show=show),
        lambda pair, size, show: evaluation.diagnose(pair, batch, size, show=show),
    ):
        assert score(scarce(exact, 4), None, show) == score(exact.pair, 3, None)  # 11, 6, 3
        assert capsys.readouterr().err.count("note: memory ran out at 11 data") == 1


def test_the_elbo_of_each_datum_with_little_memory():
    exact = linear(wider=1.3, n=11)
    pair = scarce(exact, 50)
    found = evaluation.elbo_per_datum(pair, [exact.x], draws=400)
    assert pair.model.failed
    torch.testing.assert_close(found.elbo, exact.log_p - exact.kl, rtol=0, atol=0.6)
    assert (found.elbo - exact.log_p + exact.kl).mean().abs() < 0.1


def test_what_the_latents_carry_with_little_memory():
    exact = linear(n=200)
    enough = evaluation.usage(exact.pair, [exact.x], 1.0)
    pair = Pair(Scarce(exact.pair.model, 130, ON_CUDA), Scarce(exact.pair.guide, 4000, ON_CUDA))
    found = evaluation.usage(pair, [exact.x], 1.0)
    assert pair.model.failed and pair.guide.failed
    assert found.information.nats == pytest.approx(enough.information.nats, abs=1e-9)
    assert found.swap.nats == pytest.approx(enough.swap.nats, abs=1e-9)
    torch.testing.assert_close(found.aggregate["z"].mean, enough.aggregate["z"].mean)


@pytest.mark.parametrize("most", [20, 6])
def test_annealing_with_little_memory(most):
    """First fewer data, then fewer chains at once."""
    exact = linear(wider=1.3, n=4)
    pair = scarce(exact, most)
    found = evaluation.ais(pair, [exact.x], steps=10, chains=8, leapfrog=2, start="guide", compile=False)
    assert pair.model.failed and pair.model.largest <= most
    assert (found.log_likelihood - exact.log_p).abs().max() < 5 * found.standard_error.max() + 0.05
    bounds = evaluation.bdmc(
        scarce(exact, most), [exact.x], steps=10, chains=8, leapfrog=2, start="guide", compile=False
    )
    assert bounds.gap.mean().abs() < 0.1


def test_refitting_with_little_memory():
    exact = known(n=5)
    pair = Pair(Scarce(exact.pair.model, 400, ON_CPU), exact.pair.guide)  # 1,000 draws in 10 parts: 100 of each datum
    found = evaluation.refit(pair, [exact.x], steps=100, rounds=3, lr=5e-3)
    assert pair.model.failed
    assert len(found.elbo) == 5
    assert (exact.log_p - found.elbo).mean() == pytest.approx(exact.diagonal_gap, abs=0.05)


@pytest.mark.parametrize(
    "score",
    [
        lambda pair, batch: evaluation.log_likelihood(pair, batch, 10),
        lambda pair, batch: evaluation.elbo(pair, batch, 4),
        lambda pair, batch: evaluation.ais(pair, batch, 5, 2, compile=False),
    ],
)
def test_no_memory_for_one_is_an_error_with_a_cure(monkeypatch, score):
    exact = linear(n=4)

    @contextmanager
    def tried(device):
        yield
        raise memory.NoMemoryError("CUDA out of memory")

    monkeypatch.setattr(memory, "tried", tried)
    score_quickly(monkeypatch)
    with pytest.raises(PyrovaeError, match=r"not enough memory for one .* \(CUDA out of memory\): take smaller"):
        score(exact.pair, [exact.x])


def test_what_failed_leaves_neither_tensors_nor_noise():
    import weakref

    left = []

    def fails():
        value = torch.randn(10)
        left.append(weakref.ref(value))
        raise ON_CPU

    with seeded(3):
        before = torch.get_rng_state()
        with pytest.raises(memory.NoMemoryError), memory.tried(CPU):
            fails()
        assert torch.equal(before, torch.get_rng_state())
    assert left[0]() is None


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError):
        list(memory.halved(3, 2, lambda rows: 1 / 0, CPU))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("DefaultCPUAllocator"))


def test_sizes_of_memory():
    for text, size in {"8GB": 8 * 10**9, "500 mb": 5 * 10**8, "2GiB": 2**31, "1.5k": 1500, "77": 77, 12: 12}.items():
        assert bytes_in(text) == size
    for text in ("", "GB", "-1GB", "8 bananas", "0", "nan", "1e9"):
        with pytest.raises(UsageError, match="is no size of memory"):
            bytes_in(text)


def test_the_limit_holds_inside_and_nowhere_else():
    assert memory.limit() is None
    with memory.limited("1MB"):
        assert (memory.limit(), budget(CPU), budget(CPU, most=2**30)) == (10**6, 10**6, 10**6)
        with memory.limited("1GB"):
            assert budget(CPU) == CPU_BYTES
        with memory.limited(None):
            assert memory.limit() == 10**6
    assert memory.limit() is None
    with pytest.raises(UsageError), memory.limited("much"):
        pass


def test_pieces_follow_the_limit():
    tried, sizes = case("vae"), []
    pair = tried.pair()
    pair.model.register_forward_pre_hook(lambda module, batch: sizes.append(len(batch[0])))
    evaluation.elbo(pair, tried.batch)
    assert max(sizes) == 13
    sizes.clear()
    with memory.limited("4KB"):
        evaluation.elbo(pair, tried.batch)
    assert 1 <= max(sizes) < 13


REAL = """
import resource, sys
import torch
from conftest import linear
from pyrovae import evaluation
from pyrovae.evaluation import chunks
from pyrovae.runtime.progress import progress
torch.set_num_threads(1)
chunks.CPU_BYTES = 2**40  # all at once, which no memory holds
exact = linear(wider=1.3, n=8)
evaluation.log_likelihood(exact.pair, [exact.x], 10, compile=False)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)
found = evaluation.log_likelihood(exact.pair, [exact.x], 400_000, compile=False, show=progress(True))
assert (found.drawn == 400_000).all()
print(float((found.log_likelihood - exact.log_p).abs().max()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit and /proc are of Linux")
def test_memory_that_really_runs_out():
    here = Path(__file__).parents[1]
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run([sys.executable, "-c", REAL], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "note: memory ran out at 3,200,000 samples at once" in done.stderr
    assert float(done.stdout) < 0.02
