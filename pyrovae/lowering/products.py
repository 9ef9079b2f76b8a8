"""oneDNN for the float32 matrix products of graphs, on CPUs where torch's own choice (MKL) is half as fast."""

from __future__ import annotations

import functools
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import fx

LARGE = 2e6
"""Multiplications in a product, on average over a graph, from which oneDNN is the faster (docs/decisions/0006)."""

PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default)

EXACT = 1e-6
"""Largest relative error of a product in float32; in bfloat16 it is 2e-3."""

SETTING: Any = getattr(torch.backends.mkldnn, "matmul", None)
"""torch's setting of precision for oneDNN; missing in older versions."""


class OneDNN:
    """Inside, float32 products on the CPU go to oneDNN; a context that may be entered again and again.

    torch sends them there when it is allowed to compute them in bfloat16. Without matrix units for bfloat16 (AMX),
    oneDNN computes them in float32 all the same; `faster` makes sure of it.
    """

    _lock = threading.Lock()
    _inside = 0
    _before = ""

    def __enter__(self) -> None:
        with OneDNN._lock:  # the setting is one for all threads: the last to leave puts it back
            if OneDNN._inside == 0:
                OneDNN._before, SETTING.fp32_precision = SETTING.fp32_precision, "bf16"
            OneDNN._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with OneDNN._lock:
            OneDNN._inside -= 1
            if OneDNN._inside == 0:
                SETTING.fp32_precision = OneDNN._before


def place(graph: fx.GraphModule, flops: int) -> AbstractContextManager[None]:
    """Where the matrix products of a graph on the CPU are computed, whose calls take so many operations in them."""
    count = sum(node.target in PRODUCTS for node in graph.graph.nodes)
    large = count > 0 and flops / 2 / count >= LARGE
    return OneDNN() if large and faster() else nullcontext()


@functools.cache
def faster() -> bool:
    """Whether `OneDNN` is the faster on this machine and exact: by the maker of the CPU, so that it is the same at
    every run, and by one product whose error is looked at."""
    if SETTING is None or not torch.backends.mkldnn.is_available():
        return False
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    if "AuthenticAMD" not in next((line for line in lines if line.startswith("vendor_id")), ""):
        return False
    if torch.cpu._is_amx_tile_supported() or not torch.cpu._is_avx512_supported():
        return False
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*shape, generator=draw) for shape in ((128, 512), (512, 384)))
    exact = a.double() @ b.double()
    with OneDNN(), torch.no_grad():
        error = (a @ b - exact).norm() / exact.norm()
    return bool(error < EXACT)
