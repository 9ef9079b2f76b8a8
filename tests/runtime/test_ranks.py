"""Two processes do what one does: steps of training and the log-likelihood, by gloo on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_ranks
from conftest import linear
from safetensors.torch import load_file

from pyrovae import evaluation
from pyrovae.runtime.ranks import from_first, world
from pyrovae.svi.pieces import Sums

HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes found, and what one finds alone."""
    folder = tmp_path_factory.mktemp("ranks")
    path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    started = [
        subprocess.Popen(
            [sys.executable, "two_ranks.py", str(rank), str(folder)],
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    told = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.mark.parametrize("how", ["eager", "lowered", "microbatch", "bad"])
def test_two_processes_make_the_steps_of_one_on_the_same_batches(ranks, how):
    options = {"lowered": {"lowered": True}, "microbatch": {"microbatch": 2}, "bad": {"bad": True}}.get(how, {})
    alone = two_ranks.trained(0, 1, **options)
    for name, value in alone.items():
        assert torch.equal(ranks[0][f"{how}.{name}"], ranks[1][f"{how}.{name}"])
        torch.testing.assert_close(ranks[0][f"{how}.{name}"], value, rtol=1e-6, atol=1e-9)
    assert alone["counts"].tolist() == ([1, 0, 1] if how == "bad" else [0, 0, 0])
    assert alone["figures"][:, 3].tolist() == [13, 0 if how == "bad" else 7, 1]


def test_every_process_has_the_whole_log_likelihood_in_the_order_of_the_data(ranks):
    for what in ("scored", "grown"):
        for name in ("log_likelihood", "standard_error", "ess", "pareto_k", "drawn"):
            torch.testing.assert_close(*(found[f"{what}.{name}"] for found in ranks), rtol=0, atol=0, equal_nan=True)
        found = {name.split(".")[1]: value for name, value in ranks[0].items() if name.startswith(what)}
        off = (found["log_likelihood"] - found["log_p"]).abs()
        assert (off < 5 * found["standard_error"]).all()
        assert off.max() < 0.5 * (found["log_p"].max() - found["log_p"].min())  # the order
    assert (ranks[0]["scored.drawn"] == 400).all()
    assert ranks[0]["grown.samples"] == ranks[0]["grown.drawn"].max() > 20
    error = ranks[0]["grown.standard_error"]
    assert error.square().sum().sqrt() / len(error) < 0.02


def test_what_is_broken_in_the_data_of_any_process_is_told_by_all(ranks):
    for found in ranks:
        assert bytes(found["told.broken"].tolist()).decode().startswith("6 or more of 256 draws of site 'z'")
        assert bytes(found["said.all"].tolist()) == b"ba"  # each once, in the order of the processes


def test_each_process_draws_noise_of_its_own(ranks):
    """Row 0 of the first process and row 1 of the second are the first rows they score, by different noise."""
    exact = linear(wider=1.5, n=9)
    mine = evaluation.log_likelihood(exact.pair, [exact.x[0::2]], 400)
    same = evaluation.log_likelihood(exact.pair, [exact.x[1::2]], 400)
    assert torch.equal(ranks[0]["scored.log_likelihood"][0::2], mine.log_likelihood)
    assert not torch.equal(ranks[0]["scored.log_likelihood"][1::2], same.log_likelihood)


def test_fewer_data_than_processes(ranks):
    for found in ranks:
        torch.testing.assert_close(found["one.log_likelihood"], found["one.log_p"], rtol=0, atol=0.5)


def test_weights_and_moments_are_those_of_the_first(ranks):
    assert not torch.equal(ranks[0]["from_first.before"], ranks[1]["from_first.before"])
    for found in ranks:
        assert torch.equal(found["from_first.after"], ranks[0]["from_first.before"])
        assert (found["from_first.mean"] == 1).all()


def test_one_process_scores_as_without():
    exact = linear(wider=1.5)
    alone = evaluation.log_likelihood(exact.pair, [exact.x], 50, seed=3)
    found = evaluation.log_likelihood_over_ranks(exact.pair, [exact.x], 50, seed=3)
    assert torch.equal(alone.log_likelihood, found.log_likelihood)
    assert torch.equal(alone.pareto_k, found.pareto_k)
    assert world() == (0, 1)
    from_first(exact.pair)


def test_sums_of_several_dtypes_stand_in_one_buffer_each():
    like = [torch.zeros(2, 3), torch.zeros(4, dtype=torch.float64), torch.zeros(())]
    sums = Sums(like, 2)
    gradients = [torch.ones_like(tensor) for tensor in like]
    for weight in (0.25, 0.5):
        sums.add(gradients, weight, torch.tensor([1.0, 2.0]))
    assert [(buffer.dtype, len(buffer)) for buffer in sums.buffers] == [(torch.float32, 7), (torch.float64, 6)]
    assert all((total == 0.75).all() for total in sums.gradients)
    assert [total.shape for total in sums.gradients] == [tensor.shape for tensor in like]
    assert sums.numbers.tolist() == [2, 4]
    sums.clear()
    assert not any(buffer.any() for buffer in sums.buffers)
