"""Adam's fused kernel, called directly, and gradients laid out as it reads them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Name = Literal["adam", "adamw", "adamax", "rmsprop"]


class FusedAdam:
    """Adam's moments of the parameters of one dtype, and its kernel."""

    def __init__(
        self, name: Name, parameters: list[nn.Parameter], which: list[int], eps: float, weight_decay: float
    ) -> None:
        self.parameters: list[Tensor] = [*parameters]
        self.which = which
        self.kernel = torch._fused_adam_ if name == "adam" else torch._fused_adamw_
        self.first = [torch.zeros_like(parameter) for parameter in parameters]
        self.second = [torch.zeros_like(parameter) for parameter in parameters]
        self.count = torch.zeros((), device=parameters[0].device)  # steps that were made
        self.eps = eps
        self.weight_decay = weight_decay

    def at(self, places: Mapping[int, int]) -> FusedAdam:
        """The same for gradients that stand at other places, given by the id of their parameters."""
        found = copy.copy(self)
        found.which = [places[id(parameter)] for parameter in self.parameters]
        return found

    def state(self) -> Iterator[tuple[int, tuple[tuple[str, Tensor], ...]]]:
        for i, first, second in zip(self.which, self.first, self.second, strict=True):
            yield i, (("exp_avg", first), ("exp_avg_sq", second), ("step", self.count))

    def update(self, gradients: Sequence[Tensor], scale: Tensor, bad: Tensor, lr: Tensor) -> None:
        self.count.add_(1.0).sub_(bad)
        self.kernel(
            self.parameters,
            _laid_out([gradients[i] for i in self.which], self.parameters),
            self.first,
            self.second,
            [],  # no amsgrad
            [self.count] * len(self.parameters),
            lr=lr,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self.weight_decay,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
            grad_scale=scale,
            found_inf=bad,
        )


def dense(parameter: Tensor) -> bool:
    """Whether its elements fill a block of memory, and its moments will lie as it does."""
    return torch.empty_like(parameter).stride() == parameter.stride()


def _laid_out(gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    """Gradients with the strides of their parameters, no two in the same memory: torch's fused kernel on a CPU pairs
    elements by their place in memory, not by index, and writes the divided gradient where it read it. Autograd gives
    other strides where a weight is used transposed, and one tensor to two parameters that are added. Those that
    differ are copied; they are looked at here and not in the graph, whose fake strides a kernel may not keep.
    """
    pairs = zip(gradients, parameters, strict=True)
    out = [g if g.stride() == p.stride() else torch.empty_like(p).copy_(g) for g, p in pairs]
    end = 0
    for start, i in sorted([(gradient.data_ptr(), i) for i, gradient in enumerate(out)]):
        if start < end:
            out[i] = out[i].clone()
        end = max(end, start + gradients[i].nbytes)
    return out
