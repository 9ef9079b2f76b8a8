"""Names of devices."""

import torch

from pyrovae.errors import UsageError


def find(name: str) -> torch.device:
    """`auto` is a CUDA device where there is one, else the CPU; raises UsageError for what this machine lacks."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"there is no device '{name}': take auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name}: this machine has {torch.cuda.device_count()} CUDA devices: take --device cpu or auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device mps: this machine has no Metal device: take --device cpu or auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"device {name} is not supported: take auto, cpu, cuda, cuda:1 or mps")
    return device
