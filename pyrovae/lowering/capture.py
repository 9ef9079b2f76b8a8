"""A function of tensors as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from pyrovae.lowering.graph import CannotLowerError, Function
from pyrovae.lowering.nested import Nested, flat, rebuilder
from pyrovae.runtime.seeding import seeded

R = TypeVar("R")

Record = Callable[[Callable[[], Any]], tuple[Callable[[], None], Any]]
"""Records a function without arguments: what runs it again, and what it gives, which every run writes anew."""

WARM = 3
"""Runs before the recording, in which libraries take their workspaces."""

TOLERANCE = 1e-3
"""Largest relative difference that one recorded run may leave in any tensor of the state."""


def record_cuda(function: Callable[[], R]) -> tuple[Callable[[], None], R]:
    """Records on the current CUDA device; noise is drawn anew at every run."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = function()
    return graph.replay, out


class Captured:
    """A function whose kernels are launched all at once, for arguments of the shapes of an example.

    What it gives is written anew by the next call: take what is to be kept.

    Args:
        function: of tensors, without a sync; it may change the tensors of `state` in place and no others.
        state: what `function` changes; afterwards as it was.
        example: arguments.
        record: how it is recorded; another one stands in where there is no GPU.

    Raises:
        CannotLowerError: where it cannot be recorded, or where a recorded run leaves another state than the function.
    """

    def __init__(
        self, function: Function, state: Sequence[Tensor], example: Sequence[Nested], record: Record = record_cuda
    ) -> None:
        leaves, self.given = flat(example), rebuilder(tuple(example))
        self.inputs = [leaf.clone() for leaf in leaves]
        values = [tensor.detach().clone() for tensor in state]

        def run() -> object:
            return function(*self.given(iter(self.inputs)))

        def after(call: Callable[[], object]) -> list[Tensor]:
            """The state after one call from the same start, with the same noise; then the state as it was."""
            try:
                with seeded(0, leaves[0].device):
                    call()
                return [tensor.detach().clone() for tensor in state]
            finally:
                _copy(state, values)

        try:
            with seeded(0, leaves[0].device):
                self.replay, self.out = record(run)
        except RuntimeError as error:
            raise CannotLowerError(f"it cannot be recorded as a CUDA graph ({str(error).splitlines()[0]})") from error
        finally:
            _copy(state, values)
        for once, again in zip(after(run), after(self.replay), strict=True):
            if (once.double() - again.double()).norm() > TOLERANCE * once.double().norm() + 1e-6:
                raise CannotLowerError("as a CUDA graph it does something else")

    def fits(self, *arguments: Nested) -> bool:
        """Whether the arguments have the shapes of the example."""
        leaves = flat(arguments)
        return [leaf.shape for leaf in leaves] == [leaf.shape for leaf in self.inputs]

    def __call__(self, *arguments: Nested) -> Any:
        """What the function gives."""
        torch._foreach_copy_(self.inputs, flat(arguments))
        self.replay()
        return self.out


def _copy(state: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(state, values, strict=True):
            tensor.copy_(value)
