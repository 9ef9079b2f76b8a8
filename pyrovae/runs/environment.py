"""What a run was made with."""

from __future__ import annotations

import platform

import numpy as np
import torch

from pyrovae._version import __version__
from pyrovae.runtime.ranks import world


def environment() -> dict[str, str]:
    """Versions, machine and settings that a run was made with; nothing of who made it and where."""
    import pyro

    return {
        "pyrovae": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pyro": pyro.__version__,
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "threads": str(torch.get_num_threads()),
        "processes": str(world().size),
    }
