"""One torch optimizer over all parameters, with global-norm clipping and a guard against non-finite gradients."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Name = Literal["adam", "adamw", "adamax"]


class Optimizer:
    """Adam, AdamW or Adamax on a list of parameters.

    Where the kernel is fused (Adam and AdamW), clipping and the guard happen inside of it: it divides the gradients by
    `grad_scale` and skips the step where `found_inf` is 1, without a host sync. Adamax has no fused kernel and syncs
    once a step.

    Args:
        parameters: what is trained.
        name: which optimizer.
        lr: learning rate.
        eps: added to the denominator.
        weight_decay: L2 penalty (adam, adamax) or decoupled decay (adamw).
        clip: largest global norm of the gradients; 0 does not clip.

    Attributes:
        skipped: steps left out because a gradient was not finite, a float tensor on the device.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        name: Name = "adam",
        lr: float = 1e-3,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        clip: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.clip = clip
        device = self.parameters[0].device
        self.fused = name != "adamax" and device.type in ("cpu", "cuda")
        self.skipped = torch.zeros((), device=device)
        if name == "adamax":
            self.optimizer: torch.optim.Optimizer = torch.optim.Adamax(
                self.parameters, lr=lr, eps=eps, weight_decay=weight_decay
            )
        else:
            kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
            self.optimizer = kind(self.parameters, lr=lr, eps=eps, weight_decay=weight_decay, fused=self.fused)

    def update(self, gradients: Sequence[Tensor], lr: float) -> None:
        """One step along the gradients; none where they are not finite."""
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients))))
        bad = (~torch.isfinite(norm)).float()
        self.skipped += bad
        scale = (norm / self.clip).clamp_min(1.0).nan_to_num(1.0) if self.clip else torch.ones_like(norm)
        scale = scale.float()  # what the fused kernel reads, whatever the parameters are
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self.fused:
            self.optimizer.grad_scale, self.optimizer.found_inf = scale, bad  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bad.item():
            torch._foreach_div_(list(gradients), scale)
            self.optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None
