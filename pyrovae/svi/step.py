"""One step of stochastic variational inference: loss, gradients, update."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pyrovae.lowering import CannotLowerError, Captured, Engine, lower, slots
from pyrovae.pair import first_dim
from pyrovae.progress import Progress
from pyrovae.svi.optimizer import Guarded, Optimizer
from pyrovae.svi.precision import Precision, products
from pyrovae.traces import unvalidated

TOLERANCE = 1e-3
"""Largest relative difference of a lowered from an eager gradient."""

BFLOAT16 = 3e-2
"""The same where products have 8 bits, and a product that is fused with another is rounded once less."""

Batch = tuple[Tensor, ...]
Rows = dict[str, Tensor] | Sequence[Tensor]


class Figures(NamedTuple):
    """Sums over a batch, nats, never weighted, and the number of its data; all 0 where the ELBO is not finite."""

    elbo: Tensor
    rate: Tensor
    distortion: Tensor
    data: Tensor


class Step:
    """Stored rows -> the batch -> terms and gradients of an objective -> the update.

    What varies between steps comes in as tensors, and `gradients` is a function of them alone, so `lower` can put its
    graph in its place. The gradient is that of the mean loss a datum, so that learning rates do not depend on the
    batch size.

    Args:
        objective: a module that gives `Terms` of a batch.
        optimizer: of its parameters.
        batch_of: makes the batch of stored rows (binarization is drawn here); None where the rows are the batch.
        precision: of the matrix products of the objective.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: Optimizer,
        batch_of: Callable[[Any], Batch] | None = None,
        precision: Precision = "32",
    ) -> None:
        self.objective = objective
        self.optimizer = optimizer
        self.precision = precision
        self.batch_of: Callable[[Any], Batch] = batch_of or tuple
        places = {id(owner[key]): (owner, key) for owner, key in slots(objective).values()}
        self.trained = [places[id(parameter)] for parameter in optimizer.parameters]
        self.engine = Engine(self.gradients, "eager")
        self.captured: Captured | None = None

    def __call__(self, rows: Rows, lr: Tensor, kl_weight: Tensor, fraction: Tensor) -> Figures:
        """Updates the parameters; gives the figures of the batch, which the next step may write over."""
        arguments = (rows, lr, kl_weight, fraction)
        if self.captured is not None and self.captured.fits(*arguments):
            return self.captured(*arguments)
        return self.once(*arguments)

    def once(self, rows: Rows, lr: Tensor, kl_weight: Tensor, fraction: Tensor) -> Figures:
        """The same, kernel by kernel."""
        figures, guarded = self.engine.call(rows, kl_weight, fraction)
        self.optimizer.update(guarded, lr)
        return figures

    def lower(
        self, examples: Sequence[Rows], calls: int, compile: bool | None = None, show: Progress | None = None
    ) -> Engine:
        """Lets the steps run in the fastest tier that is worth it; see `pyrovae.lowering.lower`."""
        one = torch.ones((), device=self.optimizer.parameters[0].device)
        weights = [(one * (i + 1) / len(examples), one / 2) for i in range(len(examples))]
        calls_of = [(rows, *weight) for rows, weight in zip(examples, weights, strict=True)]
        tolerance = BFLOAT16 if self.precision == "bf16" else TOLERANCE
        self.engine = lower(self.objective, self.gradients, calls_of, calls, compile, show, tolerance)
        if one.device.type == "cuda" and self.engine.tier != "eager" and self.optimizer.fused:
            self.capture(calls_of[0])
        return self.engine

    def capture(self, example: tuple[Rows, Tensor, Tensor], **options: Any) -> None:
        """Lets steps of this shape be one CUDA graph each, optimizer and all; where it fails they stay as they are."""
        started = time.perf_counter()
        rows, kl_weight, fraction = example
        state = [tensor for owner, key in slots(self.objective).values() if (tensor := owner[key]) is not None]
        state += self.optimizer.state().values()
        state = list({id(tensor): tensor for tensor in state}.values())
        try:
            self.captured = Captured(self.once, state, (rows, kl_weight / 1000, kl_weight, fraction), **options)
            self.engine.cuda_graph = True
        except CannotLowerError as error:
            self.engine.reason = str(error)
        self.engine.seconds += time.perf_counter() - started

    def gradients(self, rows: Rows, kl_weight: Tensor, fraction: Tensor) -> tuple[Figures, Guarded]:
        """Figures of the rows, and the guarded gradient of the mean loss for each parameter of the optimizer."""
        batch: Batch = self.batch_of(rows)
        with unvalidated():
            with products(self.precision):
                terms = self.objective(*batch, kl_weight=kl_weight, fraction=fraction)
            gradients = torch.autograd.grad(
                terms.loss / first_dim(batch),
                [owner[key] for owner, key in self.trained],  # while a graph is traced, other tensors stand there
                allow_unused=True,
                materialize_grads=True,
            )
            # Of a step that is skipped there is nothing to sum.
            summed = terms.elbo.isfinite()
            sums = (terms.elbo, terms.rate, terms.distortion, torch.full_like(terms.elbo, first_dim(batch)))
            figures = Figures(*(torch.where(summed, each.detach(), 0.0) for each in sums))
            # A loss may be infinite and its gradient not: one far outlier, or a constant that overflows.
            finite = terms.loss.detach().isfinite()
        return figures, self.optimizer.guard(gradients, finite)
