"""RMSprop (Tieleman & Hinton 2012) on the parameters of one dtype, without a host sync: for a GPU."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

SMOOTHING = 0.99
"""torch's alpha: how much of the mean of squares stays at each step."""


class RMSProp:
    """v <- alpha v + (1 - alpha) g^2 and w <- w - lr g / (sqrt(v) + eps), as `torch.optim.RMSprop`.

    With momentum m the step goes along b <- m b + g / (sqrt(v) + eps). Of a step that is skipped the gradient counts as
    0 and the factors of v and b as 1, so the host need not know whether it is. On a CPU, where there is nothing to wait
    for, `torch.optim.RMSprop` passes over memory half as often.
    """

    def __init__(
        self, parameters: list[nn.Parameter], which: list[int], eps: float, weight_decay: float, momentum: float
    ) -> None:
        self.parameters: list[Tensor] = [*parameters]
        self.which = which
        self.squares = [torch.zeros_like(parameter) for parameter in parameters]
        self.along = [torch.zeros_like(parameter) for parameter in parameters] if momentum else []
        self.count = torch.zeros((), device=parameters[0].device)  # steps that were made
        self.eps = eps
        self.weight_decay = weight_decay
        self.momentum = momentum

    def at(self, places: Mapping[int, int]) -> RMSProp:
        """The same for gradients that stand at other places, given by the id of their parameters."""
        found = copy.copy(self)
        found.which = [places[id(parameter)] for parameter in self.parameters]
        return found

    def state(self) -> Iterator[tuple[int, tuple[tuple[str, Tensor], ...]]]:
        for i, place in enumerate(self.which):
            momentum = (("momentum_buffer", self.along[i]),) if self.momentum else ()
            yield place, (("square_avg", self.squares[i]), ("step", self.count), *momentum)

    def update(self, gradients: Sequence[Tensor], scale: Tensor, bad: Tensor, lr: Tensor) -> None:
        skipped = bad > 0
        self.count.add_(1.0).sub_(bad)
        steps = torch._foreach_div([gradients[i] for i in self.which], scale)
        if self.weight_decay:
            torch._foreach_add_(steps, self.parameters, alpha=self.weight_decay)
        for step in steps:
            step.masked_fill_(skipped, 0.0)
        torch._foreach_mul_(self.squares, torch.where(skipped, 1.0, SMOOTHING))
        torch._foreach_addcmul_(self.squares, steps, steps, 1 - SMOOTHING)
        below = torch._foreach_sqrt(self.squares)
        torch._foreach_add_(below, self.eps)
        torch._foreach_div_(steps, below)
        if self.momentum:
            torch._foreach_mul_(self.along, torch.where(skipped, 1.0, self.momentum))
            torch._foreach_add_(self.along, steps)
            steps = torch._foreach_mul(self.along, lr * (1 - bad))
        else:
            torch._foreach_mul_(steps, lr)
        torch._foreach_sub_(self.parameters, steps)
