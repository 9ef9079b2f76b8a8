"""Names of devices."""

import os

import torch

from pyrovae.errors import UsageError, first_line, option
from pyrovae.runtime.device_names import require_device_name


def find(name: str) -> torch.device:
    """`auto` is a CUDA device where there is one, else the CPU; raises UsageError for what this machine lacks.

    Of the processes that `torchrun` has started on a machine each takes a CUDA device of its own.
    """
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return (
            torch.device("cuda", int(os.environ["LOCAL_RANK"])) if "LOCAL_RANK" in os.environ else torch.device("cuda")
        )
    if name == "auto":
        return torch.device("cpu")
    require_device_name(name)
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device {name}: {first_line(error)}: take auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name}: this machine has {torch.cuda.device_count()} CUDA devices: "
            f"take {option('device', 'cpu')} or auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"device mps: this machine has no Metal device: take {option('device', 'cpu')} or auto")
    return device


def precise(device: torch.device) -> torch.dtype:
    """What sums over data and samples are taken in: double precision, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64
