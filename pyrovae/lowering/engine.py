"""Which of three tiers a function runs in: eager Pyro, its graph, or its compiled graph."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from pyrovae.lowering.graph import CannotLowerError, Function, Lowered
from pyrovae.lowering.nested import Nested, flat
from pyrovae.lowering.operations import Operations
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.seeding import seeded

Tier = Literal["eager", "traced", "compiled"]

FEW = 2000
"""Calls below which a trace and its verification, about one second in a new process, are not worth it."""

COMPILE_SECONDS = 10.0
"""A compilation of a new graph (docs/measured/performance.md)."""

SAVED = 0.3
"""The share of a traced call that compilation takes away, about."""

OP_SECONDS = 4e-6
FLOPS = 1.5e11
"""A traced call takes about this much for each operation, and does so many floating-point operations a second on a
CPU. The estimate decides what is worth a compilation: measured times would decide otherwise from run to run, and the
last bits of the weights with them."""

SMALL = 1e-6
"""A difference that always passes, in relation to the largest number among the results: one may be a sum that
cancels."""


@dataclasses.dataclass
class Engine:
    """How a function runs.

    Attributes:
        call: the function, in its tier.
        tier: `eager`, `traced` or `compiled`.
        reason: why it is a slower tier than it should be, in words that follow "because"; empty where it is not.
        seconds: what tracing, verification and compilation took.
        cuda_graph: whether the calls are one CUDA graph each.
    """

    call: Function
    tier: Tier
    reason: str = ""
    seconds: float = 0.0
    cuda_graph: bool = False

    def note(self, what: str) -> str | None:
        """What a person is told where the tier is slower than it should be."""
        runs = {"eager": "runs in eager Pyro", "traced": "runs as it was traced", "compiled": "is no CUDA graph"}
        return f"note: {what} {runs[self.tier]}, because {self.reason}" if self.reason else None


def lower(
    module: nn.Module,
    function: Function,
    examples: Sequence[Sequence[Nested]],
    calls: int,
    compile: bool | None = None,
    show: Progress | None = None,
    tolerance: float = 1e-3,
) -> Engine:
    """Lowers a function as far as it is worth and as far as it stays right.

    The operations of two eager calls are compared, and the lowered function with the eager one on every example, each
    with noise of its own: results, buffers and the state of the generator afterwards. Where they differ it runs eager.
    All of this leaves parameters, buffers and generators as they were.

    Args:
        module: whose parameters and buffers `function` reads.
        function: see `Lowered`.
        examples: arguments of the shapes that most calls will have, with different values.
        calls: how often it will be called.
        compile: False runs eager; True compiles; None compiles where that is won back.
        show: where the phase is shown.
        tolerance: largest relative difference of a lowered from an eager result, in the norm of each tensor.
    """
    if compile is False or (compile is None and calls < FEW):
        return Engine(function, "eager")
    started = time.perf_counter()
    device = flat(examples)[0].device
    with seeded(0, device):
        try:
            lowered = Lowered(module, function, *examples[0])
            same(lowered, examples, device)
            if device.type == "cpu":  # on CUDA whole steps are one graph
                interpret(lowered, examples, device)
            verify(lowered, examples, device, tolerance)
        except CannotLowerError as error:
            return Engine(function, "eager", str(error), time.perf_counter() - started)
        tier: Tier = "traced"
        worth, reason = estimate(lowered) * calls * SAVED, ""
        if compile or worth > COMPILE_SECONDS:
            if show is not None:
                show.start("compile", total=None)
            run = lowered.run
            try:
                lowered.compile(*examples[0])
                verify(lowered, examples, device, tolerance)
                tier = "compiled"
            except CannotLowerError as error:
                lowered.run, reason = run, f"the compiler failed: {error}"
            if show is not None:
                show.close()
                if tier == "compiled":
                    show.line(f"compiled in {time.perf_counter() - started:.1f} seconds")
    return Engine(lowered, tier, reason, time.perf_counter() - started)


def interpret(lowered: Lowered, examples: Sequence[Sequence[Nested]], device: torch.device) -> None:
    """Runs the graph without Python between its operations, where that gives the same bits."""
    plain = lowered.run
    before = outcome(lowered, lowered, examples[0], 1, device)
    try:
        lowered.interpret(*examples[0])
        after = outcome(lowered, lowered, examples[0], 1, device)
    except (CannotLowerError, RuntimeError):
        lowered.run = plain
        return
    if not all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in zip(before, after, strict=True)):
        lowered.run = plain


def estimate(lowered: Lowered) -> float:
    """Seconds of one call of the graph on a CPU: the same number on every machine."""
    operations = sum(node.op == "call_function" for node in lowered.graph.graph.nodes)
    seconds: float = operations * OP_SECONDS + lowered.flops() / FLOPS
    return seconds


def same(lowered: Lowered, examples: Sequence[Sequence[Nested]], device: torch.device) -> None:
    """Raises CannotLowerError where the function does something else at another call: what it does is frozen by the
    trace, and a little of it may not be seen in the results."""
    found = []
    for example in (examples[0], examples[-1]):
        with seeded(0, device), kept(lowered), Operations() as operations:
            lowered.function(*example)
            found.append(operations.done)
    if found[0] != found[1]:
        raise CannotLowerError("it does something else at every call (a Python number or a choice that changes)")


def verify(lowered: Lowered, examples: Sequence[Sequence[Nested]], device: torch.device, tolerance: float) -> None:
    """Raises CannotLowerError where the graph and the function differ on one of the examples."""
    for seed, example in enumerate(examples, start=1):
        found = [outcome(lowered, call, example, seed, device) for call in (lowered.function, lowered)]
        for eager, other in zip(*found, strict=True):
            if eager.shape != other.shape or eager.dtype != other.dtype:
                raise CannotLowerError("its lowered results have other shapes than those of eager Pyro")
        if not torch.equal(found[0][-1], found[1][-1]):
            raise CannotLowerError("lowered, it draws other noise than eager Pyro")
        largest = max((float(each.abs().max()) for each in found[0][:-1] if _counts(each)), default=0.0)
        for eager, other in zip(*found, strict=True):
            if not _close(eager, other, tolerance, SMALL * largest):
                raise CannotLowerError("its lowered results differ from those of eager Pyro")


def outcome(
    lowered: Lowered, call: Function, example: Sequence[Nested], seed: int, device: torch.device
) -> list[Tensor]:
    """What a call gives: results, buffers, and last a number that says where the generator stands."""
    with seeded(seed, device), kept(lowered) as buffers:
        results = [leaf.detach().clone() for leaf in flat([call(*example)])]
        after = torch.rand(1, device=device)
        return [*results, *(buffer.clone() for buffer in buffers()), after]


def _counts(value: Tensor) -> bool:
    """Sums (of no dims) may be far larger than gradients."""
    return value.is_floating_point() and value.dim() > 0 and value.numel() > 0 and bool(value.isfinite().all())


def _close(eager: Tensor, other: Tensor, relative: float, absolute: float) -> bool:
    if not eager.is_floating_point():
        return torch.equal(eager, other)
    finite = eager.isfinite()
    if not torch.equal(finite, other.isfinite()):
        return False
    a, b = eager[finite].double(), other[finite].double()
    return bool((a - b).norm() <= relative * a.norm() + absolute * a.numel() ** 0.5)


@contextmanager
def kept(lowered: Lowered) -> Iterator[Callable[[], list[Tensor]]]:
    """Buffers are afterwards as they were; gives a function that reads them."""
    places = [(owner, key) for owner, key in lowered.places if not isinstance(owner[key], nn.Parameter)]
    tensors = [owner[key] for owner, key in places]
    values = [tensor.clone() for tensor in tensors]
    try:
        yield lambda: [owner[key] for owner, key in places]
    finally:
        with torch.no_grad():
            for (owner, key), tensor, value in zip(places, tensors, values, strict=True):
                tensor.copy_(value)
                owner[key] = tensor
