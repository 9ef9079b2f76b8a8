"""How many calls of ours lie between what a person calls and `pyro.sample`."""

import sys
from pathlib import Path

import pyro
import pytest
import torch
from commands import run as command

import pyrovae

ROOT = Path(__file__).parents[2]
OURS = tuple(str(ROOT / room) for room in ("pyrovae", "models", "cli"))
SHORT = {"epochs": 1, "hidden": (5,), "latent_dim": 2, "score_samples": 3, "compile": False, "show": False}


def stacks(monkeypatch, call):
    """Of each draw of a latent of the guide inside `call`: the functions of ours on the stack, from the outermost."""
    found, sample = [], pyro.sample

    def spied(name, *args, **options):
        frame, stack = sys._getframe(1), []
        while frame is not None:
            code = frame.f_code
            file = str(Path(code.co_filename).resolve())
            if file.startswith(OURS):
                stack.append(f"{Path(file).relative_to(ROOT)}:{code.co_name}")
            frame = frame.f_back
        if name == "z":
            found.append(stack[::-1])
        return sample(name, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(pyro, "sample", spied)
        call()
    return found


def hops(stack, first):
    """From the function `first` to the program that draws."""
    start = stack.index(first)
    assert stack[-1].startswith("models/"), stack
    return stack[start:]


def shown(stack):
    return f"{len(stack) - 1} hops:\n  " + "\n  ".join(stack)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return pyrovae.fit("vae", **SHORT, out=tmp_path_factory.mktemp("run") / "run")


def test_from_fit_to_the_draw_are_nine(monkeypatch):
    every = stacks(monkeypatch, lambda: pyrovae.fit("vae", data=torch.rand(40, 9).round(), **SHORT))
    steps = [hops(stack, "pyrovae/training/fit.py:fit") for stack in every if "pyrovae/svi/step.py:raw" in stack]
    assert steps
    longest = max(steps, key=len)
    assert len(longest) - 1 <= 9, shown(longest)


def test_from_loglik_to_the_draw_are_eight(monkeypatch, run):
    """And two more from the command: click's function, and the estimator that gives the verb its typed options."""
    verb = "pyrovae/runs/likelihood.py:log_likelihood"
    every = stacks(monkeypatch, lambda: run.log_likelihood(samples=7, limit=5, compile=False))
    weights = [hops(stack, verb) for stack in every if any("sampler.py:draw" in call for call in stack)]
    assert weights
    longest = max(weights, key=len)
    assert len(longest) - 1 <= 8, shown(longest)
    told = []
    every = stacks(monkeypatch, lambda: told.append(command("loglik", run.path, "--samples", 7, "--no-compile")))
    assert told[0].exit_code == 0, told[0].output
    weights = [hops(stack, "cli/loglik.py:command") for stack in every if any("sampler.py:draw" in c for c in stack)]
    assert weights
    longest = max(weights, key=len)
    assert len(longest) - 1 <= 10, shown(longest)
