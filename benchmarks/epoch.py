"""An epoch of training, all in but the held-out score: `python -m benchmarks.epoch`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import click
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import pyrovae
from benchmarks.measure import Contestant, alternate, as_json, show, write
from benchmarks.peers import by_hand
from benchmarks.setting import LR, WIDE, held_out_images, images, pixels


class Pictures(Dataset[torch.Tensor]):
    """What torchvision.datasets.MNIST with ToTensor does for each datum."""

    def __init__(self, stored: torch.Tensor) -> None:
        from torchvision.transforms import ToTensor

        self.arrays, self.transform = stored[:, 0].numpy(), ToTensor()

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> torch.Tensor:
        from PIL import Image

        image: torch.Tensor = self.transform(Image.fromarray(self.arrays[i]))
        return image


def script(stored: torch.Tensor, test: torch.Tensor, how: str) -> Contestant:
    """The usual script: a DataLoader, eager PyTorch, Adam, loss.item() for the log."""
    nets: list[by_hand.VAE] = []
    data: Any = Pictures(stored) if how == "ToTensor" else TensorDataset(stored.float() / 255)
    loader: Any = DataLoader(data, batch_size=WIDE.batch, shuffle=True)

    def run(epochs: int) -> None:
        net = by_hand.start(WIDE, stored)  # from the start, as `pyrovae.fit` does
        nets[:] = [net]
        optimizer = torch.optim.Adam(net.parameters(), lr=LR)
        for _ in range(epochs):
            total = 0.0
            for batch in loader:
                x = torch.bernoulli(batch[0] if isinstance(batch, list | tuple) else batch).flatten(1)
                loss = net(x) / len(x)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()

    return Contestant(f"DataLoader script, {how}", run, lambda: by_hand.elbo(nets[0], test))


def pythae(stored: torch.Tensor, test: torch.Tensor) -> Contestant:
    """pythae's BaseTrainer, on pixels that are drawn once."""
    from benchmarks.peers import pythae_vae

    nets: list[by_hand.VAE] = []
    x = torch.bernoulli(stored.float() / 255)

    def run(epochs: int) -> None:
        nets[:] = [by_hand.start(WIDE, stored)]
        pythae_vae.train(pythae_vae.model(WIDE, nets[0]), x, epochs, WIDE.batch)

    return Contestant("pythae BaseTrainer", run, lambda: by_hand.elbo(nets[0], test))


def ours(dataset: Any, test: torch.Tensor, compile: bool | None, precision: Literal["32", "bf16"] = "32") -> Contestant:
    """`pyrovae.fit`; its time is that of the epochs, as in metrics.jsonl, without the held-out score."""
    found: dict[str, Any] = {}

    def fit(epochs: int) -> Any:
        return pyrovae.fit(
            "vae",
            data=dataset,
            hidden=WIDE.hidden,
            latent_dim=WIDE.latent_dim,
            activation=WIDE.activation,
            batch_size=WIDE.batch,
            lr=LR,
            schedule="constant",
            epochs=epochs,
            compile=compile,
            precision=precision,
            score_limit=1,
            score_samples=1,
            show=False,
            device="cpu",
        )

    def run(epochs: int) -> float:
        found["run"] = fit(epochs)
        seconds: float = sum(epoch["train_seconds"] for epoch in found["run"].metrics)
        return seconds

    def check() -> float:
        return pyrovae.evaluation.elbo(found["run"].pair, [test.view(-1, 1, 28, 28)])["elbo"]

    started = time.perf_counter()
    setup = fit(1).results["lowering_seconds"] if compile is not False else time.perf_counter() - started
    names = {True: "pyrovae.fit, compiled", False: "pyrovae.fit, eager", None: "pyrovae.fit, as it chooses"}
    return Contestant(names[compile] + (", bf16" if precision == "bf16" else ""), run, check, setup)


@click.command()
@click.option("--data-root", type=click.Path(path_type=Path, exists=True), help="Folder of MNIST; else images made up.")
@click.option("--blocks", default=3, show_default=True)
@click.option("--epochs", default=2, show_default=True, help="Epochs of a block.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="pythae beside the rest.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file.")
def main(data_root: Path | None, blocks: int, epochs: int, peers: bool, out: Path | None) -> None:
    """Time an epoch of 784-400-20 at batch 128, by turns in one run."""
    dataset = images(data_root)
    stored, test = pixels(dataset), held_out_images(dataset)
    contestants = [
        *(script(stored, test, how) for how in ("ToTensor", "tensors")),
        *((pythae(stored, test),) if peers else ()),
        *(ours(dataset, test, mode) for mode in (False, None, True)),
        ours(dataset, test, True, "bf16"),
    ]
    rows = alternate(contestants, blocks, epochs)
    show(f"one epoch of {len(stored)} images, {WIDE}", rows, "DataLoader script, ToTensor")
    write(out, {"command": "epoch", "rows": as_json(rows)})


if __name__ == "__main__":
    main()
