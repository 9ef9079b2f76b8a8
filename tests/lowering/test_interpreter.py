"""Graphs without Python between their operations: the same bits, and the graph itself where they would be others."""

import pytest
import torch
from conftest import case
from torch import nn

from pyrovae.lowering import Lowered, lower
from pyrovae.lowering import graph as graph_module
from pyrovae.objectives.elbo import ELBO
from pyrovae.svi import Optimizer, Step


def traced_step(name, guide):
    tried = case(name, guide)
    pair = tried.pair().train()
    step = Step(ELBO(pair), Optimizer(list(pair.parameters())))
    step.lower([tuple(tensor.roll(i, 0) for tensor in tried.batch) for i in range(3)], calls=3000)
    return step, tried.batch


@pytest.mark.parametrize(
    ("name", "guide"),
    [
        ("vae", "iaf:steps=2:hidden=8"),
        ("vae", "mixture:components=3"),
        ("cvae-quadrants", "full"),
        ("ssvae", "diagonal"),
    ],
)
def test_a_traced_step_is_interpreted_with_the_bits_of_its_graph(name, guide):
    step, batch = traced_step(name, guide)
    assert step.engine.tier == "traced"
    lowered, one = step.engine.call, torch.ones(())
    assert isinstance(lowered, Lowered)
    quick, plain = lowered.run, lowered.graph.forward
    assert quick != plain
    for seed in range(3):
        found = []
        for lowered.run in (quick, plain):
            torch.manual_seed(seed)
            figures, guarded = lowered(batch, one, one)
            found.append([*figures, *guarded.gradients, guarded.scale, guarded.bad, torch.rand(1)])
        assert all(map(torch.equal, *found))


def test_gradients_of_convolutions_are_not():
    """TorchScript's tracer takes no optional list of sizes, as `convolution_backward` has: the graph itself runs."""
    step, _ = traced_step("vae-conv", "diagonal")
    assert (step.engine.tier, step.engine.reason) == ("traced", "")
    assert step.engine.call.run == step.engine.call.graph.forward


class Moving(nn.Module):
    """Moves a buffer and draws noise."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls.add_(1)
        return (x * self.weight + torch.randn_like(x)).sum() * self.calls


def lowered_moving():
    module = Moving()
    return module, lower(module, module, [(torch.randn(4, 3),), (torch.randn(4, 3),)], calls=3000)


def test_buffers_move_and_noise_is_new():
    module, found = lowered_moving()
    x = torch.randn(4, 3)
    assert found.tier == "traced" and found.call.run != found.call.graph.forward
    assert module.calls == 0
    first, second = found.call(x), found.call(x)
    assert module.calls == 2 and first != second / 2
    assert torch._C._get_graph_executor_optimize()


@pytest.mark.parametrize("wrong", ["raises", "rounds", "breaks"])
def test_a_graph_that_is_not_the_same_there_is_run_as_it_is(wrong, monkeypatch):
    def other(graph, inputs):
        if wrong == "raises":
            raise RuntimeError("no")

        def run(*given):
            if wrong == "breaks":
                raise RuntimeError("not here")
            return [tensor * (1 + 1e-6) for tensor in graph(*given)]

        return run

    monkeypatch.setattr(graph_module, "interpreted", other)
    _, found = lowered_moving()
    assert found.tier == "traced" and found.call.run == found.call.graph.forward
    assert found.reason == ""


def test_the_generator_stands_where_it_stood():
    module, examples = Moving(), [(torch.randn(4, 3),), (torch.randn(4, 3),)]
    before = torch.get_rng_state()
    assert lower(module, module, examples, calls=3000).tier == "traced"
    assert torch.equal(torch.get_rng_state(), before)
