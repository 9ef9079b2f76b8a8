"""In which tier the steps run: eager Pyro, a graph, a compiled graph, or one CUDA graph; whole or in pieces."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from pyrovae.lowering import CannotLowerError, Captured, Engine, lower, slots
from pyrovae.lowering.capture import Record, record_cuda
from pyrovae.lowering.graph import Function
from pyrovae.runtime import memory
from pyrovae.runtime.progress import Progress
from pyrovae.svi.pieces import Rows, cut, rows_in

Example = tuple[Rows, Tensor, Tensor]
"""Rows, the weight of the KL and the fraction of all data: what varies between steps, but for the learning rate."""


class Tiers:
    """How the functions of a step are called.

    Args:
        module: whose parameters and buffers they read.
        gradients: figures and guarded gradients of a whole batch.
        raw: figures, gradients and whether they are finite, of a piece.
        once: a whole step with its update, as one CUDA graph records it.
        device: where.
        tolerance: largest relative difference of a lowered from an eager result.

    Attributes:
        whole: how a batch is computed at once.
        piece: how a part of it is.
        engine: the one of them by which the steps go.
        captured: whole steps of one shape as one CUDA graph each, optimizer and all.
    """

    def __init__(
        self,
        module: nn.Module,
        gradients: Function,
        raw: Function,
        once: Function,
        device: torch.device,
        tolerance: float,
    ) -> None:
        self.module, self.device, self.tolerance = module, device, tolerance
        self.gradients, self.raw, self.once = gradients, raw, once
        self.whole = self.engine = Engine(gradients, "eager")
        self.piece = Engine(raw, "eager")
        self.captured: Captured | None = None

    def lower(
        self, examples: Sequence[Rows], calls: int, compile: bool | None, show: Progress | None, size: int | None = None
    ) -> None:
        """Puts whole steps, or with a `size` pieces of so many data, in the tier that is worth it for `calls` of
        a step; see `pyrovae.lowering.lower`."""
        spent, function = self.engine.seconds, self.gradients
        if size is not None:
            function = self.raw
            calls *= rows_in(examples[0]) // size
            examples = [next(cut(rows, size)) for rows in examples]
        self.engine = lower(self.module, function, self.weighted(examples), calls, compile, show, self.tolerance)
        self.engine.seconds += spent
        if size is None:
            self.whole = self.engine
        else:
            self.piece = self.engine

    def weighted(self, examples: Sequence[Rows]) -> list[Example]:
        """The rows, each with other values of what varies."""
        one = torch.ones((), device=self.device)
        return [(rows, one * (i + 1) / len(examples), one / 2) for i, rows in enumerate(examples)]

    def capture(self, example: Example, state: Iterable[Tensor], record: Record = record_cuda) -> None:
        """Lets whole steps of this shape be one CUDA graph each; where that fails they stay as they are.

        Args:
            example: of a step.
            state: what a step changes beside the tensors of `module`: those of the optimizer.
            record: see `pyrovae.lowering.Captured`.
        """
        started = time.perf_counter()
        rows, kl_weight, fraction = example
        own = [tensor for owner, key in slots(self.module).values() if (tensor := owner[key]) is not None]
        distinct = list({id(tensor): tensor for tensor in (*own, *state)}.values())
        try:
            with memory.tried(self.device):
                self.captured = Captured(self.once, distinct, (rows, kl_weight / 1000, kl_weight, fraction), record)
            self.engine.cuda_graph = True
        except CannotLowerError as error:
            self.engine.reason = str(error)
        except memory.NoMemoryError:
            self.engine.reason = "there is not enough memory to record it"
        self.engine.seconds += time.perf_counter() - started

    def release(self) -> None:
        """Drops the CUDA graph: steps of its shape no longer fit the memory."""
        self.captured, self.engine.cuda_graph = None, False
