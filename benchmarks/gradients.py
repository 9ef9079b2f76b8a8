"""Variance and signal-to-noise ratio of the gradients of each objective: `python -m benchmarks.gradients`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import pyrovae
from benchmarks.measure import write
from pyrovae.objectives.choose import objective
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.runtime.seeding import seeded
from pyrovae.svi import Optimizer, Step

MANY = 2000
"""Calls for which a step is traced."""

OBJECTIVES: dict[str, dict[str, Any]] = {
    "elbo": {"objective": "elbo"},
    "elbo, analytic KL": {"objective": "elbo", "kl": "analytic"},
    "stl": {"objective": "stl"},
    "iwae": {"objective": "iwae"},
    "dreg": {"objective": "dreg"},
    "renyi, alpha 0.5": {"objective": "renyi", "alpha": 0.5},
}


class Spread(NamedTuple):
    """Of the gradient of many parameters over the noise.

    Attributes:
        variance: of one parameter, the mean over all.
        signal: the length of the mean gradient over that of its noise, sqrt(|E g|^2 / sum Var g). The square of the
            estimated mean is larger by Var / N than that of the mean, which is taken off.
    """

    variance: float
    signal: float


@dataclasses.dataclass
class Row:
    """An objective with K particles: the spread of the gradients of guide and model."""

    name: str
    K: int
    guide: Spread
    model: Spread


class Moments:
    """Running mean and sum of squared deviations of vectors, in double precision (Welford 1962)."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = torch.zeros((), dtype=torch.float64)
        self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, vector: Tensor) -> None:
        """One more vector."""
        vector = vector.double()
        self.n += 1
        before = vector - self.mean
        self.mean = self.mean + before / self.n
        self.squares = self.squares + before * (vector - self.mean)

    def spread(self) -> Spread:
        """Over the vectors so far, two at least."""
        variance = self.squares / (self.n - 1)
        noise = variance.sum()
        signal = (self.mean.square().sum() - noise / self.n).clamp_min(0) / noise
        return Spread(variance.mean().item(), signal.sqrt().item())


def measured(pair: Pair, batch: Sequence[Tensor], name: str, K: int, draws: int, seed: int = 0) -> Row:
    """The gradient of the mean loss a datum, drawn many times on one batch with the same weights."""
    config = TrainConfig.model_validate({**OBJECTIVES[name], "particles": K})
    aim = objective(pair, batch, config)
    parameters = [*pair.guide.parameters(), *pair.model.parameters()]
    step, of_guide = Step(aim, Optimizer(parameters)), len(list(pair.guide.parameters()))
    one = torch.ones(())
    call = step.lower([tuple(tensor.roll(i, 0) for tensor in batch) for i in range(3)], MANY).call
    guide, model = Moments(), Moments()
    with seeded(seed):
        for _ in range(draws):
            gradients = call(tuple(batch), one, one)[1].gradients
            guide.add(torch.cat([gradient.flatten() for gradient in gradients[:of_guide]]))
            model.add(torch.cat([gradient.flatten() for gradient in gradients[of_guide:]]))
    return Row(name, K, guide.spread(), model.spread())


def show(rows: Sequence[Row], title: str) -> None:
    """The table; all but the rows of the ELBO are ratios to the ELBO of equal K."""
    table = Table(title=title, title_justify="left")
    heads = ("guide variance", "guide signal/noise", "model variance", "model signal/noise")
    for column in ("K", "objective", *heads):
        table.add_column(column, justify="left" if column == "objective" else "right")
    plain = {row.K: row for row in rows if row.name == "elbo"}
    for row in rows:
        base = plain[row.K]
        cells = []
        for ours, theirs in ((row.guide, base.guide), (row.model, base.model)):
            if row is base:
                cells += [f"{ours.variance:.2e}", f"{ours.signal:.3f}"]
            else:
                # Few draws may leave no signal to compare with.
                signal = f"{ours.signal / theirs.signal:.2f} x" if theirs.signal else ""
                cells += [f"{ours.variance / theirs.variance:.3f} x", signal]
        table.add_row(str(row.K), row.name, *cells)
    Console(width=120).print(table)


@click.command()
@click.option("--epochs", default=30, show_default=True, help="Epochs of training before the weights are frozen.")
@click.option("--draws", default=500, show_default=True, help="Gradients of each objective.")
@click.option("--batch", "size", default=64, show_default=True, help="Training data in the one batch.")
@click.option("--particles", default="1,5,50", show_default=True, help="Values of K.")
@click.option("--guide", default="diagonal", show_default=True, help="A guide family.")
@click.option("--out", "--json", "out", type=click.Path(path_type=Path), help="JSON file.")
def main(epochs: int, draws: int, size: int, particles: str, guide: str, out: Path | None) -> None:
    """Measure the noise of the gradients of each objective on one pair, vae on digits, at the same weights."""
    options: dict[str, Any] = {"epochs": epochs, "score_samples": 1, "score_limit": 1, "device": "cpu", "show": False}
    run = pyrovae.fit("vae", data="digits", guide=guide, seed=0, **options)
    with seeded(0):
        batch = tuple(tensor[:size] for tensor in run.split("train"))
    pair = run.pair.train()
    rows = []
    for K in map(int, particles.split(",")):
        for name, own in OBJECTIVES.items():
            if K == 1 and own["objective"] in ("iwae", "dreg", "renyi"):
                continue  # one sample: the ELBO
            if own.get("kl") == "analytic" and guide.startswith("iaf"):
                continue
            rows.append(measured(pair, batch, name, K, draws))
    elbo = run.results["test_elbo"]
    title = f"vae on digits, guide {guide}, after {epochs} epochs (test ELBO {elbo:.2f}); {draws} draws, batch {size}"
    show(rows, f"{title}; x: ratio to the ELBO of equal K")
    found = [dataclasses.asdict(row) for row in rows]
    for each in found:
        each |= {part: each[part]._asdict() for part in ("guide", "model")}
    write(out, {"command": "gradients", "setting": title, "rows": found})


if __name__ == "__main__":
    main()
