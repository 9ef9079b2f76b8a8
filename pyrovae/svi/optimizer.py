"""One torch optimizer over all parameters, with global-norm clipping and a guard against what is not finite."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.svi.fused import FusedAdam, Name, dense
from pyrovae.svi.rmsprop import RMSProp

WITHOUT_SYNC: dict[str, tuple[Name, ...]] = {"cpu": ("adam", "adamw"), "cuda": ("adam", "adamw", "rmsprop")}
"""By device what is updated by calls of our own; anything else by torch.optim."""


class Guarded(NamedTuple):
    """Gradients, and what becomes of them.

    Attributes:
        gradients: one for each parameter.
        scale: what they are divided by, at least 1.
        bad: 1 where one of them, or the loss, is not finite, which skips the step; else 0.
    """

    gradients: tuple[Tensor, ...]
    scale: Tensor
    bad: Tensor


class Optimizer:
    """Adam, AdamW, Adamax or RMSprop on a list of parameters.

    Where torch has a fused kernel (Adam and AdamW on CPU and CUDA), it divides the gradients by `scale` and skips the
    step where `bad` is 1, without a host sync. It is called directly: `torch.optim.Adam.step` around it costs as much
    as a small network. RMSprop on CUDA needs no sync, either. Elsewhere, and for parameters with gaps in memory,
    torch.optim does it, with one sync a step.

    Args:
        parameters: what is trained.
        name: which optimizer.
        lr: learning rate.
        eps: added to the denominator.
        weight_decay: L2 penalty (adam, adamax, rmsprop) or decoupled decay (adamw).
        clip: largest global norm of the gradients; 0 does not clip.
        momentum: of rmsprop.
        apart: parameters with a count of steps of their own, so that `part` can move them or the others alone.

    Raises:
        UsageError: for a momentum of another optimizer.

    Attributes:
        skipped: steps left out because loss or gradient was not finite, a float tensor on the device.
        streak: how many of them in a row, up to the last step; the same.
        longest: the longest streak since this was last set to 0; the same.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        name: Name = "adam",
        lr: float = 1e-3,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        clip: float = 0.0,
        momentum: float = 0.0,
        apart: Collection[nn.Parameter] = (),
    ) -> None:
        if momentum and name != "rmsprop":
            rmsprop = option("optimizer", "rmsprop")
            raise UsageError(f"{option('momentum')} is of {rmsprop}, not of {name}: leave it out")
        self.parameters = list(parameters)
        self.clip = clip
        device = self.parameters[0].device
        self.skipped, self.streak, self.longest = (torch.zeros((), device=device) for _ in range(3))
        options: dict[str, Any] = {"lr": lr, "eps": eps, "weight_decay": weight_decay}
        self.optimizer: torch.optim.Optimizer | None = None
        self.groups: list[FusedAdam | RMSProp] = []
        if name in WITHOUT_SYNC.get(device.type, ()) and all(map(dense, self.parameters)):
            # One call takes tensors of one dtype, and of one count.
            counted = {id(parameter) for parameter in apart}
            each = [(parameter.dtype, id(parameter) in counted) for parameter in self.parameters]
            for of in dict.fromkeys(each):
                which = [i for i, kind in enumerate(each) if kind == of]
                own = [self.parameters[i] for i in which]
                self.groups.append(
                    RMSProp(own, which, eps, weight_decay, momentum)
                    if name == "rmsprop"
                    else FusedAdam(name, own, which, eps, weight_decay)
                )
        else:
            kinds: dict[Name, type[torch.optim.Optimizer]] = {
                "adam": torch.optim.Adam,
                "adamw": torch.optim.AdamW,
                "adamax": torch.optim.Adamax,
                "rmsprop": torch.optim.RMSprop,
            }
            moments = {"adamax": ["exp_avg", "exp_inf"], "rmsprop": ["square_avg"]}.get(name, ["exp_avg", "exp_avg_sq"])
            if momentum:
                options["momentum"] = momentum
                moments.append("momentum_buffer")
            self.optimizer = kinds[name](self.parameters, **options)
            for parameter in self.parameters:  # which torch does at the first step
                zeros = {moment: torch.zeros_like(parameter) for moment in moments}
                self.optimizer.state[parameter] = {"step": torch.zeros(()), **zeros}

    def part(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """This optimizer on some of its parameters, all of `apart` or all others: with the same moments, counts and
        counts of skipped steps; the norm that is clipped is that of their gradients."""
        found = copy.copy(self)
        found.parameters = list(parameters)
        at = {id(parameter): i for i, parameter in enumerate(found.parameters)}
        found.groups = [group.at(at) for group in self.groups if id(group.parameters[0]) in at]
        return found

    def state(self) -> dict[str, Tensor]:
        """The moments and counts behind the next step, and the counts of skipped steps, by name: the tensors
        themselves. Parameters of one dtype may share one count."""
        if self.optimizer is not None:
            moved = self.optimizer.state_dict()["state"].items()
            found = {f"{i}.{name}": value for i, values in moved for name, value in values.items()}
        else:
            groups = (values for group in self.groups for values in group.state())
            found = {f"{i}.{name}": value for i, values in groups for name, value in values}
        return found | {"skipped": self.skipped, "streak": self.streak, "longest": self.longest}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copies what `state` gave, of the same optimizer on the same parameters, into the tensors that are there.

        Raises:
            PyrovaeError: where names, shapes or dtypes differ; nothing is changed then.
        """
        own = self.state()
        if odd := sorted(set(own) ^ set(state)):
            raise PyrovaeError(
                f"a state of the optimizer with {len(state)} tensors does not fit this one with {len(own)} (the first "
                f"that differs is '{odd[0]}'): take the same model, guide and {option('optimizer')}"
            )
        for name, tensor in own.items():
            theirs = state[name]
            if (theirs.shape, theirs.dtype) != (tensor.shape, tensor.dtype):
                raise PyrovaeError(
                    f"'{name}' of the optimizer's state is {tuple(theirs.shape)} {theirs.dtype}, here it is "
                    f"{tuple(tensor.shape)} {tensor.dtype}: take the same model, guide and sizes"
                )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])

    def guard(self, gradients: Sequence[Tensor], finite: Tensor | None = None) -> Guarded:
        """By how much gradients are scaled down, and whether they, and what `finite` says, are finite; a function of
        tensors alone.

        Args:
            gradients: one for each parameter.
            finite: whether the loss is, a boolean tensor of no dims; None where nobody asks.
        """
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients))))
        good = torch.isfinite(norm) if finite is None else torch.isfinite(norm) & finite
        bad = (~good).float()
        scale = (norm / self.clip).clamp_min(1.0).nan_to_num(1.0) if self.clip else torch.ones_like(norm)
        return Guarded(tuple(gradients), scale.float(), bad)  # float32 is what the kernel reads

    def update(self, guarded: Guarded, lr: Tensor) -> None:
        """One step along the gradients; none where `bad`. `lr` stands on the device."""
        gradients, scale, bad = guarded
        with torch.no_grad():
            self.skipped += bad
            self.streak.add_(bad).mul_(bad)
            torch.maximum(self.longest, self.streak, out=self.longest)
            for group in self.groups:
                group.update(gradients, scale, bad, lr)
            if self.optimizer is not None and not bad.item():
                for parameter, gradient in zip(self.parameters, gradients, strict=True):
                    parameter.grad = gradient / scale if self.clip else gradient
                for settings in self.optimizer.param_groups:
                    settings["lr"] = lr.item()
                self.optimizer.step()
                for parameter in self.parameters:
                    parameter.grad = None
