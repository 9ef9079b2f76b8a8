"""How time grows with batch, latent size, samples and data: `python -m benchmarks.growth --plot growth.png`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

import pyrovae
from benchmarks.measure import Contestant, alternate, as_json, show, write
from benchmarks.peers import by_hand, ours
from benchmarks.setting import WIDE, build, held_out_images, images, pixels

BATCHES = (16, 64, 256, 1024)
LATENTS = (2, 20, 100, 500)
SAMPLES = (10, 100, 1000, 10_000)
DATA = (3000, 10_000, 30_000)


def steps(dataset: Any, field: str, values: tuple[int, ...], blocks: int) -> dict[int, list[Any]]:
    """Eager PyTorch, the traced and the compiled step for each value of a field of the setting."""
    found = {}
    for value in values:
        setting = dataclasses.replace(WIDE, **{field: value})  # type: ignore[arg-type]
        x, test = pixels(dataset), held_out_images(dataset)
        contestants = [by_hand.step(setting, x, test)]
        contestants += [
            ours.step(setting, build(setting, dataset), dataset, x, test, tier) for tier in ("eager", "compiled")
        ]
        found[value] = alternate(contestants, blocks, 20)
        show(f"{field} = {value}", found[value], "PyTorch eager")
    return found


def samples(dataset: Any, values: tuple[int, ...], blocks: int) -> dict[int, list[Any]]:
    """The log-likelihood of an image for each K."""
    pair, test = build(WIDE, dataset), held_out_images(dataset).view(-1, 1, 28, 28)
    found = {}
    for K in values:
        data = max(4, min(500, 100_000 // K))

        def timed(compile: bool, K: int = K, data: int = data) -> Callable[[int], float]:
            def run(repeats: int) -> float:
                estimate = pyrovae.log_likelihood(pair, [test[:data]], K, compile=compile)
                return (estimate.seconds - estimate.lowering_seconds) / data * repeats

            return run

        contestants = [Contestant("pyrovae eager", timed(False)), Contestant("pyrovae compiled", timed(True))]
        found[K] = alternate(contestants, blocks, 1)
        show(f"log-likelihood of an image, K = {K}", found[K], "pyrovae eager")
    return found


def epochs(dataset: Any, values: tuple[int, ...], blocks: int) -> dict[int, list[Any]]:
    """An epoch of the compiled step for each number of data."""
    x, test, found = pixels(dataset), held_out_images(dataset), {}
    for n in values:
        contestant = ours.step(WIDE, build(WIDE, dataset), dataset, x[:n], test, "compiled")
        epoch = Contestant("pyrovae compiled", functools.partial(_times, contestant.run, n // WIDE.batch))
        found[n] = alternate([epoch], blocks, 1)
        show(f"an epoch of {n} images", found[n], "pyrovae compiled")
    return found


def _times(step: Callable[[int], Any], count: int, repeats: int) -> None:
    step(count * repeats)


def plot(results: dict[str, dict[int, list[Any]]], path: Path) -> None:
    """Four panels, time against size, both logarithmic."""
    from matplotlib.figure import Figure

    labels = {
        "batch": ("batch size", "ms a step"),
        "latent_dim": ("dimensions of z", "ms a step"),
        "samples": ("K", "ms an image"),
        "data": ("training images", "ms an epoch"),
    }
    colours = {"PyTorch eager": "tab:gray", "pyrovae eager": "tab:orange", "pyrovae compiled": "tab:blue"}
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    for axes, (name, rows) in zip(figure.subplots(1, 4), results.items(), strict=True):
        sizes = list(rows)
        for i, contestant in enumerate(rows[sizes[0]]):
            times = [each[i].median for each in rows.values()]
            axes.plot(sizes, times, marker="o", label=contestant.name, color=colours[contestant.name])
        axes.set(xscale="log", yscale="log", xlabel=labels[name][0], ylabel=labels[name][1])
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.tick_params(labelsize=8)
        axes.minorticks_off()
        low, high = axes.get_ylim()
        marks = [m * 10.0**e for e in range(-3, 6) for m in (1, 2, 5)]
        shown = [mark for mark in marks if low <= mark <= high]
        axes.set_yticks(shown, [f"{mark:g}" for mark in shown])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    print(f"written to {path}")


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), help="Folder of MNIST; else images made up.")
@click.option("--blocks", default=5, show_default=True)
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="PNG file.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(data_root: Path | None, blocks: int, picture: Path | None, out: Path | None) -> None:
    """Time the step, the log-likelihood and an epoch at several sizes of 784-400-20."""
    torch.manual_seed(0)
    dataset = images(data_root)
    results = {
        "batch": steps(dataset, "batch", BATCHES, blocks),
        "latent_dim": steps(dataset, "latent_dim", LATENTS, blocks),
        "samples": samples(dataset, SAMPLES, blocks),
        "data": epochs(dataset, DATA, blocks),
    }
    if picture is not None:
        plot(results, picture)
    write(out, {name: {size: as_json(rows) for size, rows in each.items()} for name, each in results.items()})


if __name__ == "__main__":
    main()
