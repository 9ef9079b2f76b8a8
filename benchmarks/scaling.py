"""What several processes cost: measured for two on this machine, modelled for 1 to 1024 GPUs.

`python -m benchmarks.scaling` prints the fit of gloo, the prediction of a step of two processes beside the measured
one, and the tables of docs/measured/scaling.md; `--no-measure` the tables alone.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn

from benchmarks.distributed import SETTINGS, alternate, lowered
from benchmarks.measure import write
from benchmarks.setting import CLIP, DEEP, LR, WIDE, Setting, build, images, pixels
from pyrovae import registry
from pyrovae.data.dataset import Dataset
from pyrovae.data.field import Field
from pyrovae.objectives.elbo import ELBO
from pyrovae.svi import Optimizer, Step
from pyrovae.svi.pieces import Rows

FIGURES = 5
"""Numbers that are summed beside the gradient: three figures, the count of data, and that of losses not finite."""

WORDS = 8000
"""Vocabulary of War and Peace in docs/measured/results.md."""

PEAK = 67e12
"""Float32 operations a second of an H100 SXM (NVIDIA's figure); torch takes no TF32 unless it is told to."""

EFFICIENCIES = (0.6, 0.1)
"""Share of the peak that matrix products reach, large and small ones: an assumption, given as a range."""

MEMORY = 3.35e12
"""Bytes a second of its memory (NVIDIA's figure)."""

TOUCHED = 60
"""Bytes read or written a parameter and step: weights in forward and backward pass 8, gradient 4, its sum 16, norm 4,
Adam 28."""

KERNELS = 60
"""Of a compiled step of 784-400-20: 22 generated, 14 products; sums, guard and optimizer are estimated."""

CAPTURED, LAUNCHED = 3.4e-6, 10e-6
"""Seconds a small kernel takes in a CUDA graph (NVIDIA's figure, V100, 2019), and launched from Python (assumed)."""

GPUS = 8
"""In a machine."""

WORLDS = (1, 8, 64, 256, 1024)

BASE = {"tree": (6.8e-6, 14e-6, 8.4e-6), "ring": (6.6e-6, 14e-6, 8.4e-6)}
"""Seconds an all-reduce takes at least, in the protocols LL, LL128 and Simple: src/graph/tuning.cc of NCCL 2.28."""

HOP = {
    "NVLink": {"tree": (0.6e-6, 1.25e-6, 4e-6), "ring": (0.6e-6, 1.9e-6, 3.4e-6)},
    "PCIe": {"tree": (1e-6, 1.9e-6, 4e-6), "ring": (1e-6, 2.5e-6, 5.7e-6)},
    "net": {"tree": (5e-6, 8.5e-6, 14e-6), "ring": (2.7e-6, 4e-6, 14e-6)},
}
"""Seconds a hop, from the same file."""

SHARE = (1 / 4, 15 / 16, 1.0)
"""Of the bandwidth, that the protocols reach; a tree reaches `TREE` of it. From the same file, 2021."""

TREE = 0.92
SLOWER = 1.8
"""Hops of LL inside a machine, where there are several machines. From the same file, 2021."""


class Cluster(NamedTuple):
    """Bytes a second in one direction: of a GPU to another of its machine, and of a machine to the others."""

    name: str
    inside: str
    gpu: float
    machine: float


CLUSTERS = (
    Cluster("NVLink 4 in a machine, 400 Gb/s InfiniBand NDR a GPU", "NVLink", 450e9, GPUS * 50e9),
    Cluster("PCIe 5 in a machine, 100 Gb/s Ethernet a machine", "PCIe", 64e9, 12.5e9),
)


class Size(NamedTuple):
    """A fully connected pair: its parameters, each multiplied once a datum, and its batch on one GPU."""

    name: str
    parameters: int
    batch: int


def counts() -> dict[str, int]:
    """Parameters of each pair: on MNIST, and on sentences with the vocabulary of War and Peace."""
    image, label = Field((1, 28, 28), "binary"), Field((), "category", 10)
    words = Field((40,), "tokens", WORDS, 0, 1, 2, 3)
    wide, deep = ({"hidden": s.hidden, "latent_dim": s.latent_dim} for s in (WIDE, DEEP))
    cases: dict[str, tuple[str, dict[str, Field], dict[str, Any]]] = {
        "vae 784-400-20": ("vae", {"x": image}, wide),
        "vae 784-200-200-50": ("vae", {"x": image}, deep),
        "cvae": ("cvae", {"x": image, "y": label}, {}),
        "iaf": ("iaf", {"x": image}, {}),
        f"textvae, {WORDS:,} words": ("textvae", {"x": words}, {}),
        "vae 784-4096-4096-4096-256": ("vae", {"x": image}, {"hidden": (4096,) * 3, "latent_dim": 256}),
    }
    found = {}
    for name, (model, fields, options) in cases.items():
        variant = registry.variant(model)
        pair = variant.build(variant.config(**options), fields, registry.family(str(variant.guide)))
        found[name] = sum(parameter.numel() for parameter in pair.parameters())
    return found


def message(parameters: int) -> int:
    """Bytes of the one float32 buffer that a step all-reduces."""
    return 4 * (parameters + FIGURES)


def all_reduce(size: int, world: int, cluster: Cluster) -> float:
    """Seconds, by NCCL's own cost model: the fastest of ring and tree in three protocols."""
    if world == 1:
        return 0.0
    machines = -(-world // GPUS)
    bandwidth = cluster.gpu if machines == 1 else min(cluster.gpu, cluster.machine)
    found = []
    for protocol, share in enumerate(SHARE):
        slower = SLOWER if protocol == 0 and machines > 1 else 1
        hop = {way: slower * HOP[cluster.inside][way][protocol] for way in BASE}
        far = {way: HOP["net"][way][protocol] for way in BASE}
        between = 2 * (machines - 1)
        ring = BASE["ring"][protocol] + (2 * (world - 1) - between) * hop["ring"] + between * far["ring"]
        depth = (world // machines - 1) * hop["tree"] + math.log2(machines) * far["tree"]
        found += [
            ring + 2 * (world - 1) / world * size / (bandwidth * share),
            BASE["tree"][protocol] + 2 * depth + 2 * size / (bandwidth * share * TREE),
        ]
    return min(found)


def datum(pair: Size, efficiency: float) -> float:
    """Seconds of arithmetic a datum: a multiplication and an addition a parameter, forward once and backward twice."""
    return 6 * pair.parameters / (PEAK * efficiency)


def compute(pair: Size, rows: float, efficiency: float, captured: bool) -> float:
    """Seconds of a step on one GPU, without all-reduce: launches, memory and arithmetic one after the other."""
    launches = KERNELS * (CAPTURED if captured else LAUNCHED)
    return launches + TOUCHED * pair.parameters / MEMORY + datum(pair, efficiency) * rows


def step(pair: Size, rows: float, world: int, cluster: Cluster, efficiency: float, captured: bool = False) -> float:
    """Seconds of a step with so many rows on each GPU; nothing overlaps. One GPU has a CUDA graph in any case, several
    only where `captured`, which pyrovae does not do."""
    return compute(pair, rows, efficiency, captured or world == 1) + all_reduce(
        message(pair.parameters), world, cluster
    )


def pays_from(pair: Size, world: int, cluster: Cluster, efficiency: float, captured: bool = False) -> float:
    """Rows a GPU from which on `world` GPUs are faster than one with all the rows."""
    empty = step(pair, 0, world, cluster, efficiency, captured) - step(pair, 0, 1, cluster, efficiency)
    return empty / (datum(pair, efficiency) * (world - 1))


def half_from(pair: Size, world: int, cluster: Cluster, efficiency: float) -> float:
    """Rows a GPU from which on `world` GPUs are at least `world` / 2 times as fast as one with all the rows."""
    several, alone = step(pair, 0, world, cluster, efficiency), step(pair, 0, 1, cluster, efficiency)
    return (several - 2 * alone / world) / datum(pair, efficiency)


def fit(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Latency (s) and bandwidth (bytes a second) of latency + size / bandwidth, least squares of relative errors."""
    by = 1 / torch.tensor(seconds, dtype=torch.float64)
    columns = torch.stack([torch.ones(len(sizes), dtype=torch.float64), torch.tensor(sizes).double()], 1)
    latency, inverse = torch.linalg.lstsq(columns * by[:, None], torch.ones_like(by)[:, None]).solution.flatten()
    return float(latency), float(1 / inverse)


ELEMENTS = (1, 1024, 16_384, 131_072, 425_289, 652_829, 2_097_152)


def gloo(blocks: int, repeats: int) -> list[float]:
    """Seconds of an all-reduce of each size, the median over the blocks, by turns."""
    buffers = [torch.ones(count) for count in ELEMENTS]
    times: list[list[float]] = [[] for _ in buffers]
    for block in range(blocks + 1):
        for buffer, found in zip(buffers, times, strict=True):
            distributed.barrier()
            started = time.perf_counter()
            for _ in range(repeats):
                distributed.all_reduce(buffer)
                buffer.fill_(1.0)
            if block:
                found.append((time.perf_counter() - started) / repeats)
    return [statistics.median(found) for found in times]


def one(setting: Setting, dataset: Dataset, stored: Tensor, threads: int, how: str) -> Callable[[], Any]:
    """A traced step: of one process (`alone`), of all (`together`), or as of all without the all-reduce (`local`)."""
    pair = build(setting, dataset).train()
    optimizer = Optimizer(list(pair.parameters()), lr=LR, clip=CLIP)
    made = Step(ELBO(pair), optimizer, lambda rows: dataset.batch(rows, ("x",)))
    if how != "together":
        made.ranks = 1
    if how == "local":
        made.microbatch = len(stored)
    torch.set_num_threads(threads)
    columns: Rows = {"x": stored}
    lowered(made, [columns, columns, columns], "traced")
    lr, unit = torch.tensor(LR), torch.ones(())

    def call() -> None:
        torch.set_num_threads(threads)
        made(columns, lr, unit, unit, setting.batch)

    return call


def process(rank: int, cases: Sequence[str], blocks: int, repeats: int, folder: str) -> None:
    """One of two processes; the first tells what it found."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    dataset = images(None)
    found: dict[str, Any] = {"all_reduce": gloo(blocks, repeats), "steps": {}}
    for case in cases:
        setting = SETTINGS[case]
        stored = pixels(dataset)[: setting.batch]
        mine = stored[rank::2]
        contestants: list[tuple[str, float, Callable[[], Any]]] = []
        for threads in (1, 2):
            alone = one(setting, dataset, stored, threads, "alone") if rank == 0 else (lambda: None)
            contestants.append((f"1 process, {threads} thread{'s' * (threads > 1)}", 0.0, alone))
        contestants.append(("2 processes, no all-reduce", 0.0, one(setting, dataset, mine, 1, "local")))
        contestants.append(("2 processes", 0.0, one(setting, dataset, mine, 1, "together")))
        found["steps"][case] = [told._asdict() for told in alternate(contestants, blocks, repeats)]
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


def measured(cases: Sequence[str], blocks: int, repeats: int) -> dict[str, Any]:
    """What two processes found, with the fit of gloo and what it predicts; prints it."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(process, (cases, blocks, repeats, folder), 2)
        found: dict[str, Any] = json.loads(Path(folder, "found.json").read_text())
    sizes = [4 * count for count in ELEMENTS]
    latency, bandwidth = fit(sizes, found["all_reduce"])
    found |= {"latency": latency, "bandwidth": bandwidth}
    lines = [
        (f"{size:,}", f"{seconds * 1e3:.3f}", f"{(latency + size / bandwidth) * 1e3:.3f}")
        for size, seconds in zip(sizes, found["all_reduce"], strict=True)
    ]
    title = f"gloo, 2 processes: {latency * 1e3:.3f} ms + bytes / {bandwidth / 1e9:.2f} GB/s"
    printed(title, ("bytes", "ms", "fitted"), lines)
    for case, rows in found["steps"].items():
        setting = SETTINGS[case]
        size = message(sum(parameter.numel() for parameter in build(setting, images(None)).parameters()))
        steps = [
            (row["name"], f"{row['median']:.2f}", f"{row['low']:.2f} to {row['high']:.2f}", f"{row['fastest']:.2f}")
            for row in rows
        ]
        median = {row["name"]: row["median"] for row in rows}
        told = median["2 processes, no all-reduce"] + (latency + size / bandwidth) * 1e3
        steps.append(("2 processes, predicted", f"{told:.2f}", "", ""))
        printed(f"{case}: {setting}, {size:,} bytes, traced", ("", "ms", "quartiles", "fastest"), steps)
    return found


def modelled(pair: Size, cluster: Cluster) -> list[dict[str, Any]]:
    """Figures for each number of GPUs, those that depend on the efficiency for the largest and the smallest."""
    found = []
    for world in WORLDS:
        row: dict[str, Any] = {"world": world, "all_reduce": all_reduce(message(pair.parameters), world, cluster)}
        for name, rows in (("strong", pair.batch / world), ("weak", float(pair.batch))):
            seconds = [step(pair, rows, world, cluster, each) for each in EFFICIENCIES]
            alone = [step(pair, pair.batch, 1, cluster, each) for each in EFFICIENCIES]
            by = world if name == "strong" else 1
            row[name] = seconds if rows >= 1 else None
            row[f"{name}_efficiency"] = [a / (s * by) for a, s in zip(alone, seconds, strict=True)]
        if world > 1:
            for name, captured in (("pays_from", False), ("captured_pays_from", True)):
                row[name] = [math.ceil(pays_from(pair, world, cluster, each, captured)) for each in EFFICIENCIES]
            row["half_from"] = [math.ceil(half_from(pair, world, cluster, each)) for each in EFFICIENCIES]
        found.append(row)
    return found


def printed(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """A table."""
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    for line in lines:
        table.add_row(*line)
    Console(width=140).print(table)


def pairs(found: Sequence[float] | None, digits: str, by: float = 1.0) -> str:
    """Two numbers."""
    return "-" if found is None else " / ".join(f"{each * by:{digits}}" for each in found)


def show(pair: Size, cluster: Cluster, rows: Sequence[dict[str, Any]]) -> None:
    """The table of a pair and a cluster."""
    lines = [
        (
            f"{row['world']:,}",
            f"{row['all_reduce'] * 1e6:.0f}",
            pairs(row["strong"], ".2f", 1e3),
            pairs(row["strong"] and row["strong_efficiency"], ".1%"),
            pairs(row["weak"], ".2f", 1e3),
            pairs(row["weak_efficiency"], ".0%"),
            *(pairs(row.get(name), ",.0f") for name in ("pays_from", "half_from", "captured_pays_from")),
        )
        for row in rows
    ]
    columns = ["GPUs", "sum us", "strong ms", "eff.", "weak ms", "eff.", "pays from", "half from", "in a graph"]
    printed(f"{pair.name}, batch {pair.batch:,}; {cluster.name}", columns, lines)


@click.command()
@click.option("--measure/--no-measure", default=True, show_default=True, help="Two processes on this machine.")
@click.option("--blocks", default=15, show_default=True, help="Blocks of each contestant.")
@click.option("--repeats", default=20, show_default=True, help="Steps of a block.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(measure: bool, blocks: int, repeats: int, out: Path | None) -> None:
    """Fit gloo, predict a step of two processes, and model 1 to 1024 GPUs."""
    load = os.getloadavg()[0]
    results: dict[str, Any] = {"command": "scaling", "load": load}
    if measure:
        print(f"load {load:.1f} on {os.cpu_count()} cores")
        results["measured"] = measured(tuple(SETTINGS), blocks, repeats)
    results["parameters"] = counts()
    lines = [(name, f"{count:,}", f"{message(count):,}") for name, count in results["parameters"].items()]
    printed("bytes that a step all-reduces", ("", "parameters", "bytes"), lines)
    known = results["parameters"]
    large = "vae 784-4096-4096-4096-256"
    for pair in (Size("vae 784-400-20", known["vae 784-400-20"], WIDE.batch), Size(large, known[large], 4096)):
        for cluster in CLUSTERS:
            rows = modelled(pair, cluster)
            results[f"{pair.name}, {cluster.name}"] = rows
            show(pair, cluster, rows)
    print(f"pairs of numbers: at {EFFICIENCIES[0]:.0%} and {EFFICIENCIES[1]:.0%} of the peak")
    write(out, results)


if __name__ == "__main__":
    main()
