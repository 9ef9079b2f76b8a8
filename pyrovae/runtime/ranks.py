"""Several processes that train one pair: sums over them, and the same tensors on each.

Shen Li et al.: PyTorch Distributed: Experiences on Accelerating Data Parallel Training. VLDB 2020.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, distributed, nn

from pyrovae.errors import PyrovaeError, UsageError, option


class World(NamedTuple):
    """Which of how many processes this is."""

    rank: int
    size: int


def world() -> World:
    """Of `torch.distributed` where it is initialised; else the only one."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return World(0, 1)
    return World(distributed.get_rank(), distributed.get_world_size())


def started() -> int:
    """How many processes `torchrun` has started, whether they have joined or not."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def require_alone(what: str) -> None:
    """Raises UsageError where `torchrun` has started several processes, which would all write to one place."""
    if started() > 1:
        raise UsageError(f"{what} is for one process, and torchrun has started {started()}: leave torchrun out")


def summed(tensor: Tensor) -> None:
    """Puts the sum over all processes in the place of a tensor; nothing where there is one process.

    Raises:
        PyrovaeError: where another process has ended.
    """
    if world().size == 1:
        return
    try:
        distributed.all_reduce(tensor)
    except RuntimeError as error:
        raise PyrovaeError(
            f"another process of this fit has ended ({str(error).strip().splitlines()[0]}): its last checkpoint is "
            f"whole, and {option('resume', command='fit')} goes on from it, with any number of processes"
        ) from error


def sentences(own: Sequence[str]) -> tuple[str, ...]:
    """What any process says, each sentence once, in the order of the processes; every process calls it."""
    if world().size == 1:
        return tuple(own)
    mine = torch.frombuffer(bytearray(json.dumps([*own]).encode()), dtype=torch.uint8)
    lengths = [torch.zeros(1, dtype=torch.long) for _ in range(world().size)]
    distributed.all_gather(lengths, torch.tensor([len(mine)]))
    width = int(max(lengths))
    whole = [torch.zeros(width, dtype=torch.uint8) for _ in lengths]
    distributed.all_gather(whole, torch.nn.functional.pad(mine, (0, width - len(mine))))
    said = [json.loads(bytes(text[: int(n)].tolist())) for text, n in zip(whole, lengths, strict=True)]
    return tuple(dict.fromkeys(sentence for each in said for sentence in each))


def together() -> None:
    """Waits for all processes."""
    summed(torch.zeros(1))


def noise_of(seed: int, rank: int, step: int) -> int:
    """The seed of the noise of one step of one process."""
    digest = hashlib.blake2b(f"{seed} {rank} {step}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


@contextmanager
def joined() -> Iterator[None]:
    """Inside, this process is one of those that `torchrun` has started; the only one where it has not.

    GPUs speak through NCCL, CPUs through gloo.

    Raises:
        PyrovaeError: where they do not find each other.
    """
    if started() == 1 or distributed.is_initialized():
        yield
        return
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    except (RuntimeError, ValueError) as error:
        raise PyrovaeError(f"the processes do not find each other ({str(error).strip().splitlines()[0]})") from error
    try:
        yield
    finally:
        distributed.destroy_process_group()


def from_first(module: nn.Module, buffers_only: bool = False) -> None:
    """Every process gets the parameters and buffers of the first; with `buffers_only` the buffers alone, such as the
    moments of norms, which follow the rows that each process has seen. Nothing where there is one process."""
    if world().size == 1:
        return
    tensors = [*module.buffers()] if buffers_only else [*module.parameters(), *module.buffers()]
    with torch.no_grad():
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            these = [tensor for tensor in tensors if tensor.dtype == dtype]
            together = torch.cat([tensor.detach().reshape(-1) for tensor in these])
            distributed.broadcast(together, 0)
            for tensor, value in zip(these, together.split([tensor.numel() for tensor in these]), strict=True):
                tensor.copy_(value.view(tensor.shape))
