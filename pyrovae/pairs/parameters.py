"""Which parameters a pair has, on which device, and which are of the guide alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyrovae.errors import UsageError, option
from pyrovae.pairs.pair import Pair


def apart(pair: Pair) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that are trained, of the model and of the guide.

    Raises:
        UsageError: where one of them has none, or they share one.
    """
    model, guide = ([each for each in part.parameters() if each.requires_grad] for part in (pair.model, pair.guide))
    for name, parameters in (("model", model), ("guide", guide)):
        if not parameters:
            raise UsageError(
                f"{option('aggressive')} moves the guide ahead of the model, and the {name} has nothing to train: "
                f"leave it out"
            )
    own = {id(parameter) for parameter in model}
    if shared := [name for name, parameter in pair.guide.named_parameters() if id(parameter) in own]:
        raise UsageError(
            f"{option('aggressive')} moves the guide alone, and it shares {', '.join(shared[:3])} with the model: "
            f"leave it out"
        )
    return model, guide


def placed(pair: nn.Module, batch: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A batch on the device of a pair, its numbers in the precision of the pair. What was made in inference mode is
    copied, since gradients are taken through none of it."""
    device, dtype = device_of(pair), dtype_of(pair)
    with torch.inference_mode(False):
        ours = (tensor.clone() if tensor.is_inference() else tensor for tensor in batch)
        return tuple(tensor.to(device, dtype if tensor.is_floating_point() else None) for tensor in ours)


def dtype_of(module: nn.Module) -> torch.dtype:
    """The precision in which a module computes, that of its first parameter or else buffer; float32 without any."""
    own = itertools.chain(module.parameters(), module.buffers())
    return next((each.dtype for each in own if each.is_floating_point()), torch.float32)


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU where it has none."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def precision_of(pair: nn.Module) -> str:
    """As one says it: `single precision`, `bfloat16`."""
    names = {torch.float32: "single precision", torch.float64: "double precision"}
    return names.get(dtype_of(pair), str(dtype_of(pair)).removeprefix("torch."))
