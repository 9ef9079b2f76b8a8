"""How a pair is scored: one context for all of it."""

import ast
import contextlib
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from conftest import case
from torch import nn

from pyrovae.pairs.modes import scoring
from pyrovae.runtime.seeding import seeded

ROOT = Path(__file__).parents[2]


def state(pair):
    return (
        torch.get_rng_state(),
        torch.is_grad_enabled(),
        dist.is_validation_enabled(),
        [m.training for m in pair.modules()],
    )


def test_scoring_leaves_everything_as_it_was():
    pair = case("vae").pair().train()
    pair.guide.eval()  # each part in a mode of its own
    dist.enable_validation(True)
    before = state(pair)
    with contextlib.suppress(ZeroDivisionError), scoring(pair, 3):
        assert state(pair)[1:] == (False, False, [False] * len(list(pair.modules())))
        drawn = torch.randn(2)
        raise ZeroDivisionError
    after = state(pair)
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    with seeded(3):
        assert torch.equal(drawn, torch.randn(2))


def test_scoring_without_a_seed_goes_on_with_the_noise():
    module = nn.Linear(1, 1)
    torch.manual_seed(1)
    with scoring(module):
        first = pyro.sample("z", dist.Normal(0, 1))
    assert not torch.equal(first, torch.randn(()))
    torch.manual_seed(1)
    assert torch.equal(first, torch.randn(()))


WITH_GRADIENTS = {"pyrovae/evaluation/refitting/refit.py", "pyrovae/training/freezing.py"}


def test_nobody_makes_the_context_by_hand():
    """A part of it is forgotten sooner or later; whoever needs gradients makes his own."""
    by_hand = set()
    for path in (ROOT / "pyrovae").rglob("*.py"):
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if {"evaluating", "unvalidated"} <= calls:
            by_hand.add(str(path.relative_to(ROOT)))
    assert by_hand == WITH_GRADIENTS | {"pyrovae/pairs/modes.py"}
