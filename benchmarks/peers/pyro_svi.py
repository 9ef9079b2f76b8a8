"""The same pair under Pyro's own inference."""

from __future__ import annotations

import torch
from pyro.infer import SVI, RenyiELBO, Trace_ELBO
from pyro.optim import PyroOptim
from torch import Tensor

from benchmarks.measure import Contestant
from benchmarks.peers.by_hand import Rows
from benchmarks.setting import LR, Setting
from pyrovae import evaluation
from pyrovae.pairs.pair import Pair


def step(setting: Setting, pair: Pair, pixels: Tensor, test: Tensor, particles: int | None = None) -> Contestant:
    """Gather, binarize, pyro.infer.SVI.step with Pyro's Adam; with `particles`, the importance-weighted bound."""
    loss = (
        Trace_ELBO()
        if particles is None
        else RenyiELBO(alpha=0, num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    )
    svi = SVI(pair.model, pair.guide, PyroOptim(torch.optim.Adam, {"lr": LR}), loss)
    order = Rows(len(pixels), setting.batch, pixels.device)
    pair.train()

    def run(repeats: int) -> None:
        for _ in range(repeats):
            svi.step(torch.bernoulli(pixels[order()].float() / 255))

    name = "pyro.infer.SVI.step" if particles is None else f"pyro.infer.SVI.step, RenyiELBO, K = {particles}"
    return Contestant(name, run, lambda: evaluation.elbo(pair, [test.view(-1, 1, 28, 28)])["elbo"])
