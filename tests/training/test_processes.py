"""Several processes that fit one pair: `torchrun` as a person calls it, and a process that dies."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import done

from pyrovae.runs import directory, tensors

ROOT = Path(__file__).parents[2]

FIT = ("fit", "--model", "cvae", "--epochs", "3", "--limit-train", "150", "--batch-size", "32", "--held-out", "31")
QUICK = ("--hidden", "8", "--latent-dim", "2", "--score-samples", "3", "--score-limit", "21", "--device", "cpu")

COMMAND = """
import os, signal
from pyrovae.svi import Step

call, count = Step.__call__, iter(range(1, 10**6))

def dying(self, *arguments):
    if os.environ.get("DIES_AT") == str(next(count)) and os.environ.get("RANK") == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return call(self, *arguments)

Step.__call__ = dying
from pyrovae.cli import main
main()
"""


def torchrun(folder, count, *arguments, dies_at=None, code=0):
    """`torchrun` of that command in so many processes."""
    script = folder / "command.py"
    script.write_text(COMMAND)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    if dies_at:
        environment["DIES_AT"] = str(dies_at)
    launch = ("-m", "torch.distributed.run", "--nproc-per-node", str(count), "--master-port", str(port))
    ended = subprocess.run(
        [sys.executable, *launch, str(script), *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (ended.returncode == 0) == (code == 0), ended.stderr[-3000:]
    return ended


def weights(run):
    return tensors.tensors_of((run / "weights.safetensors").read_bytes(), "weights")


def same(run, other):
    ours, theirs = weights(run), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_a_dead_process_ends_the_fit_which_goes_on_with_any_number(tmp_path):
    whole, run, one = tmp_path / "whole", tmp_path / "run", tmp_path / "one"
    told = torchrun(tmp_path, 2, *FIT, *QUICK, "--out", whole, "--json")
    results = json.loads(told.stdout)  # one object: only the first process speaks
    assert results["num_data"] == 21
    assert len((whole / "metrics.jsonl").read_text().splitlines()) == 3

    torchrun(tmp_path, 2, *FIT, *QUICK, "--out", run, "--checkpoint-every", 3, dies_at=9, code=1)
    content = directory.present(run)
    assert (content["status"], content["progress"]["step"], content["progress"]["ranks"]) == ("training", 6, 2)
    subprocess.run(["cp", "-r", run, one], check=True)

    torchrun(tmp_path, 2, "fit", "--resume", run)
    assert same(run, whole)
    alone = done("fit", "--resume", one)  # this process
    assert "with 1 processes and not 2" in alone.stderr
    assert not same(one, whole)
    assert directory.present(one)["status"] == "done"
    assert len((one / "metrics.jsonl").read_text().splitlines()) == 3
    last = json.loads((one / "metrics.jsonl").read_text().splitlines()[-1])
    assert abs(last["valid_elbo"] - results["test_elbo"]) < 5
    two = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert two["valid_elbo"] == pytest.approx(-two["valid_rate"] - two["valid_distortion"], abs=1e-4)
