"""A step in pieces: microbatches, memory that runs out, and what cannot be cut."""

import math

import pytest
import torch
from conftest import case
from pieces import data, noiseless
from torch import nn

from pyrovae.errors import PyrovaeError
from pyrovae.lowering import engine as engine_module
from pyrovae.objectives.elbo import ELBO
from pyrovae.runtime import memory
from pyrovae.runtime.progress import progress
from pyrovae.svi import Optimizer, Step, not_additive
from pyrovae.svi.pieces import BACKWARD

ONE = torch.ones(())
RATE = torch.tensor(0.01)
SHARE = torch.tensor(0.3)


def no_memory(kind):
    if kind == "cuda":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to")


class Full(nn.Module):
    """An objective for which there is memory for so many data; it draws noise before it fails."""

    def __init__(self, objective, most, kind="cuda"):
        super().__init__()
        self.objective, self.most, self.kind, self.seen = objective, most, kind, []

    def forward(self, *batch, **weights):
        self.seen.append(len(batch[0]))
        terms = self.objective(*batch, **weights)
        if len(batch[0]) > self.most:
            raise no_memory(self.kind)
        return terms


def stepped(pair, batch, steps=3, make=lambda aim: aim, lowered=False, clip=0.5, norm=None, **options):
    """The step, its figures and the weights after some steps."""
    step = Step(make(ELBO(pair)), Optimizer(list(pair.parameters()), clip=clip), **options)
    if lowered:
        step.lower([tuple(tensor.roll(i, 0) for tensor in batch) for i in range(3)], calls=3000)
    torch.manual_seed(5)
    figures = [torch.stack(list(step(batch, RATE, ONE / 2, SHARE))) for _ in range(steps)]
    return step, torch.stack(figures), [parameter.detach().clone() for parameter in pair.parameters()]


@pytest.mark.parametrize("size", [1, 4, 6, 12, 13, 20])
def test_microbatches_have_the_gradient_of_the_batch(size):
    """Also of a site outside the plate, of which each piece pays its share."""
    x = data()
    ends = []
    for microbatch in (None, size):
        pair = noiseless()
        step = Step(ELBO(pair), Optimizer(list(pair.parameters()), clip=0.5), microbatch=microbatch)
        updates = []
        step.optimizer.update = lambda guarded, lr, to=updates: to.append(guarded)
        figures = step((x,), RATE, ONE / 2, SHARE)
        (guarded,) = updates
        ends.append((torch.stack(list(figures)), [g.clone() for g in guarded.gradients], guarded.scale, guarded.bad))
    assert ends[0][2] > 1  # clipped
    for a, b in zip(ends[0][1], ends[1][1], strict=True):
        assert a.norm() > 1e-3
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-10)
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-6, atol=0)
    torch.testing.assert_close(ends[0][2:], ends[1][2:], rtol=1e-6, atol=0)


@pytest.mark.parametrize("microbatch", [4, 13])
def test_lowered_microbatches_are_eager_ones(microbatch):
    tried = case("vae")
    found = []
    for lowered in (False, True):
        step, figures, weights = stepped(tried.pair().train(), tried.batch, lowered=lowered, microbatch=microbatch)
        assert step.engine.tier == ("traced" if lowered else "eager")
        found.append((figures, weights))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_all_rows_in_one_microbatch_are_the_step_itself_bit_for_bit():
    tried = case("vae")
    whole, pieces = (stepped(tried.pair(), tried.batch, microbatch=microbatch) for microbatch in (None, 13))
    assert torch.equal(whole[1], pieces[1])
    assert all(torch.equal(a, b) for a, b in zip(whole[2], pieces[2], strict=True))


def test_a_piece_that_is_not_finite_skips_the_whole_step():
    x, pair = data(), noiseless()
    x[11] = math.inf
    before = [parameter.detach().clone() for parameter in pair.parameters()]
    step, figures, weights = stepped(pair, (x,), steps=2, microbatch=4)
    assert step.optimizer.skipped == 2 and step.optimizer.longest == 2
    assert all(torch.equal(a, b) for a, b in zip(weights, before, strict=True))
    assert not figures.any()


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
@pytest.mark.parametrize("lowered", [False, True])
def test_a_step_without_memory_goes_on_in_halves_from_the_noise_it_had(kind, lowered, capsys):
    tried = case("vae")
    show = progress(True)
    full = stepped(tried.pair(), tried.batch, make=lambda aim: Full(aim, 5, kind), lowered=lowered, show=show)
    step, figures, weights = full
    assert step.microbatch == 4  # 13, 7, 4
    assert step.engine.tier == ("traced" if lowered else "eager")
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in told] == [f"memory ran out at {n} data at once" for n in (13, 7)]
    given = stepped(tried.pair(), tried.batch, lowered=lowered, microbatch=4)
    assert torch.equal(figures, given[1])
    assert all(torch.equal(a, b) for a, b in zip(weights, given[2], strict=True))
    if not lowered:
        assert step.objective.seen == [13, 7, 4, 4, 4, 1, *[4, 4, 4, 1] * 2]  # the size is kept


def test_a_step_without_memory_for_one_datum_says_what_to_do():
    with pytest.raises(PyrovaeError, match=r"not enough memory for one datum .*alloc.*: take smaller"):
        stepped(case("vae").pair(), case("vae").batch, make=lambda aim: Full(aim, 0, "cpu"))


def test_another_error_is_not_taken_for_memory():
    class Fails(nn.Module):
        def forward(self, *batch, **weights):
            raise RuntimeError("shapes do not fit")

    pair = noiseless()
    step = Step(ELBO(pair), Optimizer(list(pair.parameters())))
    step.objective.forward = Fails().forward
    with pytest.raises(RuntimeError, match="do not fit"):
        step((data(),), RATE, ONE, SHARE)
    assert step.microbatch is None


def test_moments_of_a_norm_are_put_back_where_memory_ran_out():
    """The forward pass had moved them before it failed."""
    found = []
    for most, microbatch in ((7, None), (99, 7)):
        pair = noiseless(norm=True).train()
        stepped(pair, (data(),), steps=2, make=lambda aim, most=most: Full(aim, most), microbatch=microbatch)
        found.append(list(pair.buffers()))
    assert found[0][0].abs().sum() > 0
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_plan_takes_microbatches_that_fit(capsys):
    tried = case("vae")
    B = 512
    batch = tuple(tensor.repeat(40, *[1] * (tensor.dim() - 1))[:B] for tensor in tried.batch)
    pair = tried.pair()
    state = torch.get_rng_state()
    step = Step(ELBO(pair), Optimizer(list(pair.parameters())), show=progress(True))
    step.plan(batch)
    assert step.microbatch is None  # no limit
    each = step._kept(tuple(t[:101] for t in batch)) - step._kept(tuple(t[:100] for t in batch))
    with memory.limited(f"{2**18}B"):
        step.plan(batch)
    fixed = 5 * 4 * sum(parameter.numel() for parameter in pair.parameters())
    assert step.microbatch == (2**18 - fixed) // (BACKWARD * each)
    assert 1 < step.microbatch < B
    assert f"microbatches of {step.microbatch}" in capsys.readouterr().err
    assert torch.equal(state, torch.get_rng_state())
    assert step._kept(tuple(t[: step.microbatch] for t in batch)) < 2**18
    other = Step(ELBO(pair), Optimizer(list(pair.parameters())))
    with memory.limited("100MB"):
        other.plan(batch)
        assert other.microbatch is None
    with memory.limited("1KB"), pytest.raises(PyrovaeError, match="give more memory"):
        other.plan(batch)


def test_what_is_no_sum_over_data_is_named():
    pair = case("vae").pair()
    assert not_additive(ELBO(pair)) == []
    assert "free_bits" in not_additive(ELBO(pair, free_bits=0.1))[0]
    assert "free_nats" in not_additive(ELBO(pair, free_nats=0.1))[0]
    assert not_additive(ELBO(noiseless(norm=True)))[0].startswith("BatchNorm1d takes its moments")


def test_a_graph_that_cannot_be_verified_for_memory_is_one_of_a_smaller_piece(monkeypatch):
    """Lowering runs a whole batch in eager Pyro, which is where memory may run out first."""
    true, seen = engine_module.verify, []

    def verify(lowered, examples, *rest):
        seen.append(len(examples[0][0][0]))
        if seen[-1] > 7:
            raise no_memory("cuda")
        true(lowered, examples, *rest)

    monkeypatch.setattr(engine_module, "verify", verify)
    step, *_ = stepped(case("vae").pair(), case("vae").batch, lowered=True)
    assert seen == [13, 7]
    assert (step.microbatch, step.engine.tier) == (7, "traced")
