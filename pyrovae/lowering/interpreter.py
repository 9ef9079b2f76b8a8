"""A graph run without Python between its operations, by the interpreter of TorchScript."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx

Run = Callable[..., Sequence[Tensor]]
"""Tensors -> tensors."""


def interpreted(graph: fx.GraphModule, inputs: Sequence[Tensor]) -> Run:
    """The graph as a function that does the same operations in the same order, so with the same bits.

    A call of an operation costs 4 to 5 microseconds from Python, and a small network is some two hundred of them. Left
    out are the passes by which TorchScript would make a graph faster: they round otherwise.

    Args:
        graph: of operations with fixed arguments.
        inputs: of its shapes and dtypes; they are run once, written into where the graph writes into its inputs, and
            noise is drawn.

    Raises:
        RuntimeError: or what else TorchScript raises, where it cannot hold the graph; so for gradients of convolutions.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.jit has been superseded, by what compiles for seconds
        script = torch.jit.trace(graph, tuple(inputs), check_trace=False)

    def run(*given: Tensor) -> Sequence[Tensor]:
        before = torch._C._get_graph_executor_optimize()
        torch._C._set_graph_executor_optimize(False)  # of this thread
        try:
            results: Sequence[Tensor] = script(*given)
        finally:
            torch._C._set_graph_executor_optimize(before)
        return results

    return run
