"""The step of pyrovae, in each tier."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.measure import Contestant
from benchmarks.peers.by_hand import Rows
from benchmarks.setting import CLIP, LR, Setting
from pyrovae import evaluation
from pyrovae.data.dataset import Dataset
from pyrovae.objectives.choose import objective
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.svi import Optimizer, Step
from pyrovae.svi.precision import Precision
from pyrovae.training.feed import examples

CALLS = 100_000
"""Enough to be worth lowering."""


def step(
    setting: Setting,
    pair: Pair,
    dataset: Dataset,
    pixels: Tensor,
    test: Tensor,
    tier: str,
    precision: Precision = "32",
    **options: object,
) -> Contestant:
    """Gather, binarize, loss, gradients, clip, guard, Adam: what `pyrovae.fit` runs; `options` are of training."""
    device = pixels.device
    pair = pair.to(device).train()
    config = TrainConfig.model_validate({"clip": CLIP, **options})
    aim = objective(pair, dataset.batch({"x": pixels[:2]}, ("x",)), config)
    made = Step(
        aim,
        Optimizer(list(pair.parameters()), "adam", LR, clip=CLIP),
        lambda rows: dataset.batch(rows, ("x",)),
        precision,
    )
    mode = {"eager": False, "traced": None, "compiled": True}[tier]
    columns = {"x": pixels}
    calls = CALLS if tier == "compiled" else 2000
    engine = made.lower(examples(columns, setting.batch), calls, mode)
    if engine.tier != tier:
        raise RuntimeError(f"the step is {engine.tier}, not {tier}: {engine.reason}")
    order = Rows(len(pixels), setting.batch, device)
    lr, one = torch.tensor(LR, device=device), torch.ones((), device=device)
    share = one * setting.batch / len(pixels)

    def run(repeats: int) -> None:
        for _ in range(repeats):
            figures = made({"x": pixels.index_select(0, order())}, lr, one, share)
        figures.elbo.item()

    name = f"pyrovae {tier}" + (", bf16" if precision == "bf16" else "")
    seconds = engine.seconds if tier != "eager" else None
    return Contestant(name, run, lambda: evaluation.elbo(pair, [test.view(-1, 1, 28, 28).to(device)])["elbo"], seconds)
