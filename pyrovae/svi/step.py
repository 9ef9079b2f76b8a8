"""One step of stochastic variational inference: loss, gradients, update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyrovae.errors import PyrovaeError
from pyrovae.lowering import Engine, slots
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.pair import first_dim
from pyrovae.runtime import memory
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.ranks import world
from pyrovae.runtime.seeding import seeded
from pyrovae.svi.optimizer import Guarded, Optimizer
from pyrovae.svi.pieces import Batch, Figures, Rows, Sums, cut, most_at_once, rows_in
from pyrovae.svi.precision import Precision, products, tolerance
from pyrovae.svi.tiers import Tiers


class Step:
    """Stored rows -> the batch -> terms and gradients of an objective -> the update.

    What varies between steps comes in as tensors, and `gradients` is a function of them alone, so `lower` can put its
    graph in its place. The gradient is that of the mean loss a datum, so that learning rates do not depend on the
    batch size.

    A step may go in microbatches, whose gradients are added up before clipping and update. And it may be one of several
    processes (`torch.distributed` is initialised), each with its own rows of the batch: gradients, figures and whether
    all of it is finite are summed over them, and each makes the same update. An objective that is no sum over data
    is another one then (`pyrovae.svi.not_additive`).

    Args:
        objective: a module that gives `Terms` of a batch.
        optimizer: of its parameters.
        batch_of: makes the batch of stored rows (binarization is drawn here); None where the rows are the batch.
        precision: of the matrix products of the objective.
        microbatch: data at once, at most; None are all.
        show: where it is said that memory ran out.

    Attributes:
        microbatch: smaller from the first time on that memory ran out.
        ranks: how many processes there are.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: Optimizer,
        batch_of: Callable[[Any], Batch] | None = None,
        precision: Precision = "32",
        microbatch: int | None = None,
        show: Progress | None = None,
    ) -> None:
        self.objective = objective
        self.optimizer = optimizer
        self.precision = precision
        self.batch_of: Callable[[Any], Batch] = batch_of or tuple
        self.microbatch = microbatch
        self.show = show
        self.ranks = world().size
        places = {id(owner[key]): (owner, key) for owner, key in slots(objective).values()}
        self.trained = [places[id(parameter)] for parameter in optimizer.parameters]
        self.device = optimizer.parameters[0].device
        self.moments = [
            tensor for part in objective.modules() if isinstance(part, _BatchNorm) for tensor in part.buffers()
        ]
        self.tiers = Tiers(objective, self.gradients, self.raw, self.once, self.device, tolerance(precision))
        self._sums: Sums | None = None
        self._lowering: tuple[Sequence[Rows], int, bool | None] | None = None

    @property
    def engine(self) -> Engine:
        """How the steps run."""
        return self.tiers.engine

    def __call__(
        self, rows: Rows, lr: Tensor, kl_weight: Tensor, fraction: Tensor, total: int | None = None
    ) -> Figures:
        """Updates the parameters; gives the figures of the batch, which the next step may write over.

        Args:
            rows: of this process, none at all where the others have the whole of a short batch.
            lr: learning rate.
            kl_weight: see `pyrovae.objectives.elbo.ELBO`.
            fraction: of all data that these rows are.
            total: data in the batch of all processes together; None where this is the only one.

        Raises:
            PyrovaeError: where there is not enough memory for one datum.
        """
        captured = self.tiers.captured
        if captured is not None and captured.fits(rows, lr, kl_weight, fraction):
            return Figures(*captured(rows, lr, kl_weight, fraction))
        before, B = [tensor.clone() for tensor in self.moments], rows_in(rows)
        figures: Figures
        guarded: Guarded
        while True:
            whole = self._goes_whole()
            try:
                with memory.tried(self.device):
                    if whole:
                        figures, guarded = self.tiers.whole.call(rows, kl_weight, fraction)
                    else:
                        sums = self._summed(rows, kl_weight, fraction, total or B)
                break
            except memory.NoMemoryError as error:
                for tensor, value in zip(self.moments, before, strict=True):
                    tensor.copy_(value)
                self._shrink(min(B, self.microbatch or B), error)
                self._lower()
        if not whole:
            figures, guarded = self._of_all(sums)
        self._update(before, guarded, lr)
        return figures

    def once(self, rows: Rows, lr: Tensor, kl_weight: Tensor, fraction: Tensor) -> Figures:
        """The same for one process and all rows at once, kernel by kernel."""
        before = [tensor.clone() for tensor in self.moments]
        figures: Figures
        guarded: Guarded
        figures, guarded = self.tiers.whole.call(rows, kl_weight, fraction)
        self._update(before, guarded, lr)
        return figures

    def _update(self, before: Sequence[Tensor], guarded: Guarded, lr: Tensor) -> None:
        """Without a sync: where the step is skipped, the moments of norms are put back, too."""
        for tensor, value in zip(self.moments, before, strict=True):
            tensor.copy_(torch.where(guarded.bad > 0, value, tensor))
        self.optimizer.update(guarded, lr)

    def _goes_whole(self) -> bool:
        return self.ranks == 1 and self.microbatch is None

    def _summed(self, rows: Rows, kl_weight: Tensor, fraction: Tensor, total: int) -> Sums:
        """Gradients of the mean loss over `total` data, as far as these rows go, piece by piece."""
        if self._sums is None:
            self._sums = Sums(self.optimizer.parameters, 5)
        self._sums.clear()
        B = rows_in(rows)
        for part in cut(rows, self.microbatch or max(B, 1)):
            b = rows_in(part)
            figures, gradients, finite = self.tiers.piece.call(part, kl_weight, fraction * (b / B))
            self._sums.add(gradients, b / total, torch.stack([*figures, (~finite).to(figures.elbo)]))
        return self._sums

    def _of_all(self, sums: Sums) -> tuple[Figures, Guarded]:
        """Figures and guarded gradients of the pieces of all processes."""
        if self.ranks > 1:
            sums.over_ranks()
        *figures, bad = sums.numbers.unbind()
        # A piece that is not finite has no figures, and the step is skipped.
        kept = [torch.where(bad == 0, figure, 0.0) for figure in figures]
        return Figures(*kept), self.optimizer.guard(sums.gradients, bad == 0)

    def _shrink(self, size: int, error: memory.NoMemoryError) -> None:
        """Goes on in pieces of half so many data."""
        self.microbatch = memory.half(size, error)
        if self.show is not None:
            self.show.line(
                f"note: memory ran out at {size:,} data at once: the steps go on in microbatches of "
                f"{self.microbatch:,}, whose gradients are added up"
            )
        self.tiers.release()

    def lower(
        self, examples: Sequence[Rows], calls: int, compile: bool | None = None, show: Progress | None = None
    ) -> Engine:
        """Lets the steps run in the fastest tier that is worth it; see `pyrovae.lowering.lower`.

        Args:
            examples: rows of a batch, those of this process.
            calls: how many steps there will be.
            compile: see there.
            show: where the phase is shown.
        """
        self.show = show or self.show
        self.plan(examples[0])
        self._lowering = (examples, calls, compile)
        self._lower()
        if self._goes_whole() and self.device.type == "cuda" and self.engine.tier != "eager" and self.optimizer.groups:
            self.tiers.capture(self.tiers.weighted(examples)[0], self.optimizer.state().values())
        return self.engine

    def _lower(self) -> None:
        """Whole steps or pieces, as they go now; smaller ones where there is no memory to verify them."""
        if self._lowering is None:
            return
        examples, calls, asked = self._lowering
        B = rows_in(examples[0])
        while True:
            size = None if self._goes_whole() else min(B, self.microbatch or B)
            try:
                with memory.tried(self.device):
                    self.tiers.lower(examples, calls, asked, self.show, size)
                return
            except memory.NoMemoryError as error:
                self._shrink(size or B, error)

    def plan(self, rows: Rows) -> None:
        """Chooses the microbatch by `pyrovae.runtime.memory.limited`, where memory never runs out by itself (a CPU).
        Draws from no generator.

        Args:
            rows: of a batch, those of this process.

        Raises:
            PyrovaeError: where one datum does not fit.
        """
        limit, B = memory.limit(), rows_in(rows)
        if limit is None or self.device.type == "cuda" or self.microbatch is not None or B == 0:
            return
        parameters = [owner[key] for owner, key in slots(self.objective).values()]
        weights = sum(tensor.nbytes for tensor in {id(each): each for each in parameters}.values())
        fit, takes = most_at_once(B, weights, lambda count: self._kept(next(cut(rows, count))), limit)
        if fit < B:
            self.microbatch = fit
            if self.show is not None:
                self.show.line(
                    f"note: {B:,} data at once would take about {takes / 1e6:,.0f} MB: the steps go in "
                    f"microbatches of {self.microbatch:,}, whose gradients are added up"
                )

    def _kept(self, rows: Rows) -> int:
        """Bytes that are kept for the backward pass of these rows."""
        own = [owner[key] for owner, key in slots(self.objective).values()]
        moments = [tensor.clone() for tensor in self.moments]
        with seeded(0, self.device), unvalidated():
            kept = memory.kept_for_backward(own, lambda: self.objective(*self.batch_of(rows)))
        for tensor, value in zip(self.moments, moments, strict=True):
            tensor.copy_(value)
        return kept

    def gradients(self, rows: Rows, kl_weight: Tensor, fraction: Tensor) -> tuple[Figures, Guarded]:
        """Figures of the rows, and the guarded gradient of the mean loss for each parameter of the optimizer."""
        figures, gradients, finite = self.raw(rows, kl_weight, fraction)
        return figures, self.optimizer.guard(gradients, finite)

    def raw(self, rows: Rows, kl_weight: Tensor, fraction: Tensor) -> tuple[Figures, tuple[Tensor, ...], Tensor]:
        """Figures of the rows, the gradient of the mean loss for each parameter, and whether the loss is finite."""
        batch: Batch = self.batch_of(rows)
        with unvalidated():
            with products(self.precision):
                terms = self.objective(*batch, kl_weight=kl_weight, fraction=fraction)
            if not terms.loss.requires_grad:
                raise PyrovaeError(
                    "no parameter of the pair has a part in its loss, so there is nothing to train: let the networks "
                    "that stand in model and guide compute what their programs draw and score, outside of no_grad"
                )
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
        return figures, gradients, finite
