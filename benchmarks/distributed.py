"""A step of two processes: gradients summed after the lowered function, beside DistributedDataParallel.

`python -m benchmarks.distributed [wide|deep ...]` starts the processes itself.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from rich.console import Console
from rich.table import Table
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.measure import write
from benchmarks.setting import CLIP, DEEP, LR, WIDE, Setting, build, images, pixels
from pyrovae.data.dataset import Dataset
from pyrovae.objectives.elbo import ELBO
from pyrovae.pairs.modes import unvalidated
from pyrovae.pairs.pair import Pair
from pyrovae.runtime.seeding import seeded
from pyrovae.svi import Optimizer, Step
from pyrovae.svi.pieces import Batch, Rows

SETTINGS = {"wide": WIDE, "deep": DEEP}
CALLS = {"eager": 1, "traced": 2000, "compiled": 100_000}


class Told(NamedTuple):
    """What one process found: milliseconds of a step (median and quartiles over the blocks, and the fastest
    block), and the relative difference of its gradient from that of one process on the whole batch."""

    name: str
    median: float
    low: float
    high: float
    fastest: float
    difference: float


class Loss(nn.Module):
    """Mean loss a datum as the forward of a module, which DistributedDataParallel hooks."""

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.objective = ELBO(pair)

    def forward(self, *batch: Tensor) -> Tensor:
        with unvalidated():
            loss: Tensor = self.objective(*batch).loss / len(batch[0])
            return loss


class Mean(Messenger):
    """The latent z is the mean of its distribution."""

    def _pyro_sample(self, msg: Any) -> None:
        if not msg["is_observed"] and not msg["done"] and msg["name"] == "z":
            msg["fn"] = dist.Delta(msg["fn"].mean, event_dim=1)


class Meant(nn.Module):
    """A guide whose draw is its mean."""

    def __init__(self, guide: nn.Module) -> None:
        super().__init__()
        self.guide = guide

    def forward(self, *batch: Tensor) -> Any:
        with Mean():
            return self.guide(*batch)


def alternate(contestants: Sequence[tuple[str, float, Callable[[], Any]]], blocks: int, repeats: int) -> list[Told]:
    """Times steps that all processes make together, by turns; contestants with the difference of their gradient."""
    times: dict[str, list[float]] = {name: [] for name, _, _ in contestants}
    for block in range(blocks + 1):
        for name, _, call in contestants:
            distributed.barrier()
            started = time.perf_counter()
            for _ in range(repeats):
                call()
            if block:
                times[name].append((time.perf_counter() - started) / repeats * 1e3)
    found = []
    for name, difference, _ in contestants:
        low, median, high = statistics.quantiles(times[name], n=4)
        found.append(Told(name, median, low, high, min(times[name]), difference))
    return found


def worst(ours: Sequence[Tensor], whole: Sequence[Tensor]) -> float:
    """Largest relative difference of one tensor, in its norm."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(ours, whole, strict=True) if b.norm() > 0)


def without_noise(pair: Pair) -> Pair:
    """The pair with the mean of the guide for its draw: pieces of a batch can be compared with all of it."""
    return Pair(pair.model, Meant(pair.guide), pair.inputs)


def by_ddp(setting: Setting, dataset: Dataset, x: Batch, rows: Batch, stored: Tensor) -> tuple[float, Any]:
    """Eager Pyro in DistributedDataParallel: difference of the gradient, and a step."""
    pair = without_noise(build(setting, dataset)).train()
    loss = DistributedDataParallel(Loss(pair), find_unused_parameters=True)  # the scale of the guide, here
    loss(*rows).backward()
    theirs = [parameter.grad.clone() for parameter in pair.parameters() if parameter.grad is not None]
    whole = torch.autograd.grad(
        Loss(pair)(*x), [parameter for parameter in pair.parameters() if parameter.grad is not None]
    )
    difference = worst(theirs, whole)
    pair = build(setting, dataset).train()
    loss = DistributedDataParallel(Loss(pair))
    adam = torch.optim.Adam(pair.parameters(), lr=LR, fused=True)

    def call() -> None:
        adam.zero_grad()
        loss(*dataset.batch({"x": stored}, ("x",))).backward()
        nn.utils.clip_grad_norm_(pair.parameters(), CLIP)
        adam.step()

    return difference, call


def by_step(
    setting: Setting, dataset: Dataset, tier: str, size: int, x: Batch, rows: Batch, stored: Tensor
) -> tuple[float, Any]:
    """The same of `pyrovae.svi.Step`."""
    one, batch = torch.ones(()), len(x[0])
    pair = without_noise(build(setting, dataset)).train()
    aim = ELBO(pair)
    with torch.no_grad():
        aim(*rows)
    step = Step(aim, Optimizer(list(pair.parameters())))
    lowered(step, [rows, rows, rows], tier)
    found: list[Tensor] = []
    step.optimizer.update = lambda guarded, lr: found.extend(g.clone() for g in guarded.gradients)  # type: ignore[method-assign]
    step(rows, one, one, one / size, batch)
    whole = Step(aim, Optimizer(list(pair.parameters()))).raw(x, one, one)[1]
    difference = worst(found, whole)
    pair = build(setting, dataset).train()
    made = Step(
        ELBO(pair), Optimizer(list(pair.parameters()), lr=LR, clip=CLIP), lambda rows: dataset.batch(rows, ("x",))
    )
    columns: Rows = {"x": stored}
    lowered(made, [columns, columns, columns], tier)
    lr = torch.tensor(LR)
    return difference, lambda: made(columns, lr, one, one, batch)


def lowered(step: Step, examples: list[Any], tier: str) -> None:
    """Puts a step in its tier."""
    engine = step.lower(examples, CALLS[tier], {"eager": False, "traced": None, "compiled": True}[tier])
    if engine.tier != tier:
        raise RuntimeError(f"the step is {engine.tier}, not {tier}: {engine.reason}")


def process(rank: int, size: int, cases: Sequence[str], blocks: int, repeats: int, folder: str) -> None:
    """One of the processes; the first tells what it found."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    place = f"file://{folder}/meet"
    distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=size)
    dataset = images(None)
    for case in cases:
        setting = SETTINGS[case]
        stored = pixels(dataset)[: setting.batch]
        with seeded(0):
            (x,) = dataset.batch({"x": stored}, ("x",))
        rows, mine = (x[rank::size],), stored[rank::size]
        contestants = [("DistributedDataParallel, eager", *by_ddp(setting, dataset, (x,), rows, mine))]
        for tier in CALLS:
            contestants.append((f"pyrovae {tier}", *by_step(setting, dataset, tier, size, (x,), rows, mine)))
        found = alternate(contestants, blocks, repeats)
        if rank == 0:
            Path(folder, f"{case}.json").write_text(json.dumps([told._asdict() for told in found]))
    distributed.barrier()
    distributed.destroy_process_group()


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(list(SETTINGS)))
@click.option("--processes", default=2, show_default=True)
@click.option("--blocks", default=15, show_default=True, help="Blocks of each contestant.")
@click.option("--repeats", default=20, show_default=True, help="Steps of a block.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(cases: tuple[str, ...], processes: int, blocks: int, repeats: int, out: Path | None) -> None:
    """Time one step of several processes on this machine (gloo), and compare its gradient with that of one."""
    results = {}
    chosen = cases or tuple(SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        spawn(process, (processes, chosen, blocks, repeats, folder), processes)
        for case in chosen:
            rows = json.loads(Path(folder, f"{case}.json").read_text())
            results[case] = {"setting": str(SETTINGS[case]), "rows": rows}
            table = Table(title=f"{case}: {SETTINGS[case]}, {processes} processes", title_justify="left")
            for column in ("", "ms", "quartiles", "fastest", "gradient off by"):
                table.add_column(column, justify="left" if not column else "right")
            for row in rows:
                quartiles = f"{row['low']:.2f} to {row['high']:.2f}"
                table.add_row(
                    row["name"], f"{row['median']:.2f}", quartiles, f"{row['fastest']:.2f}", f"{row['difference']:.1e}"
                )
            Console(width=120).print(table)
    write(out, {"command": "distributed", "processes": processes, "cases": results})


if __name__ == "__main__":
    main()
