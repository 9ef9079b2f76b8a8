"""One step of stochastic variational inference: loss, gradients, update."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.pair import first_dim
from pyrovae.svi.elbo import ELBO, Terms
from pyrovae.svi.optimizer import Optimizer
from pyrovae.traces import unvalidated


class Step:
    """Computes the terms and gradients of an objective on a batch and hands the gradients to the optimizer.

    What varies between steps comes in as tensors, and `gradients` is a function of them alone: a lowered one can take
    its place. The gradient is that of the mean loss a datum, so that learning rates do not depend on the batch size.
    """

    def __init__(self, objective: ELBO, optimizer: Optimizer) -> None:
        self.objective = objective
        self.optimizer = optimizer

    def __call__(self, batch: Sequence[Tensor], lr: float, kl_weight: Tensor, fraction: Tensor) -> Terms:
        terms, gradients = self.gradients(batch, kl_weight, fraction)
        self.optimizer.update(gradients, lr)
        return terms

    def gradients(
        self, batch: Sequence[Tensor], kl_weight: Tensor, fraction: Tensor
    ) -> tuple[Terms, tuple[Tensor, ...]]:
        """Terms of the batch, and the gradient of the mean loss for each parameter of the optimizer."""
        with unvalidated():
            terms = self.objective(*batch, kl_weight=kl_weight, fraction=fraction)
            gradients = torch.autograd.grad(
                terms.loss / first_dim(batch), self.optimizer.parameters, allow_unused=True, materialize_grads=True
            )
        return Terms(*(term.detach() for term in terms)), gradients
