"""`selftest`: training and every estimator on this machine, against closed forms."""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyrovae import evaluation, registry
from pyrovae.objectives.elbo import ELBO
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.traces import log_weights
from pyrovae.runs.loading import load
from pyrovae.runs.run import Run
from pyrovae.runtime import devices
from pyrovae.runtime.progress import Progress, progress
from pyrovae.runtime.seeding import seeded
from pyrovae.svi import Optimizer, Step
from pyrovae.testing.gaussian import LinearGaussian
from pyrovae.training.fit import fit

DATA, TRAIN, DRAWS = 100, 2000, 1000
"""Data that are scored, data that are trained on, and draws of an ELBO."""

SIGMAS = 4.0
"""Standard errors by which an estimate may be off."""

TRAINED = 0.02
"""Nats by which an ELBO may be off after a short training."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One figure beside what it must be.

    Attributes:
        name: what was tried.
        found: the figure, nats where nothing else is said.
        wanted: what it must be.
        allowed: how far it may be off.
    """

    name: str
    found: float
    wanted: float
    allowed: float

    @property
    def passed(self) -> bool:
        """False also where the figure is not a number."""
        return abs(self.found - self.wanted) <= self.allowed


class Guide(nn.Module):
    """q(z | x) of a guide family on x itself: the posterior mean is linear in x."""

    def __init__(self, guide: str, features: int, latent_dim: int) -> None:
        super().__init__()
        self.q = registry.family(guide)(features, latent_dim)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x), dim=-1):
            pyro.sample("z", self.q(x))


def selftest(device: str = "auto", show: Progress | bool | None = None) -> list[Check]:
    """Fits a diagonal and a full Gaussian guide to a linear-Gaussian model and tries the estimators on them.

    ELBO <= IWAE_K <= log p; importance sampling, annealed importance sampling and bidirectional Monte Carlo meet
    log p; the full covariance closes the gap, and the diagonal leaves the known one; a saved run scores as before; a
    traced step has the gradients of eager Pyro. It takes less than a minute, and leaves random generators as they were.

    Args:
        device: auto, cpu, cuda, cuda:1 or mps.
        show: where progress goes; None is stderr, False is nowhere.

    Raises:
        UsageError: for a device that there is not.
    """
    where = devices.find(device)
    with seeded(0, where), show if isinstance(show, Progress) else progress(show) as shown:
        return list(_checks(where, device, shown))


def _checks(where: torch.device, device: str, shown: Progress) -> Iterator[Check]:
    torch.manual_seed(0)
    model = LinearGaussian(torch.randn(6, 2) @ torch.tensor([[1.0, 0.6], [0.0, 0.8]]), torch.randn(6), 0.7)
    x, train = model.draw(DATA), model.draw(TRAIN)
    log_p, runs = model.log_p(x).mean().item(), {}
    with tempfile.TemporaryDirectory() as folder:
        for guide in ("diagonal", "full"):
            shown.line(f"fitting the {guide} guide")
            run = _fit(model, guide, train, x, device, Path(folder) / guide)
            runs[guide] = run.pair
            gap = model.diagonal_gap() if guide == "diagonal" else 0.0
            error = _elbo(run.pair, x.to(where))[1]
            yield Check(f"ELBO, {guide} guide", _elbo(run.pair, x.to(where))[0], log_p - gap, TRAINED + SIGMAS * error)
            yield _saved(run, Pair(model, Guide(guide, 6, 2)), Path(folder) / guide, device)
    x, pair = x.to(where), runs["diagonal"]
    shown.line("scoring")
    yield from _bounds(pair, x, log_p)
    for name in ("guide", "widened", "refit"):
        found = evaluation.log_likelihood(pair, [x], 2000, proposal=name).summary()
        allowed = SIGMAS * found["standard_error"] + found["bias"]
        yield Check(f"importance sampling, {name}", found["log_likelihood"], log_p, allowed)
    for start in ("prior", "guide"):
        found = evaluation.ais(pair, [x], 100, 16, start=start).summary()
        bias = found["standard_error"] ** 2 * DATA / 2
        yield Check(f"AIS from the {start}", found["log_likelihood"], log_p, SIGMAS * found["standard_error"] + bias)
    yield from _sandwich(pair, model, x)
    yield _lowered(pair, x)


def _fit(model: LinearGaussian, guide: str, train: Tensor, x: Tensor, device: str, out: Path) -> Run:
    data = {"train": train, "valid": x, "test": x}
    options: dict[str, Any] = {"epochs": 60, "batch_size": 200, "lr": 2e-2, "particles": 16, "clip": 5.0}
    options |= {"device": device, "score_samples": 1, "compile": False}
    return fit(Pair(model, Guide(guide, 6, 2)), data, out=out, show=False, **options)


def _elbo(pair: Pair, x: Tensor) -> tuple[float, float]:
    """Mean ELBO and its Monte Carlo error, nats a datum."""
    with torch.no_grad(), seeded(0, x.device):
        weight = log_weights(pair, [x], DRAWS).double()
    return weight.mean().item(), (weight.var(0).sum() / DRAWS).sqrt().item() / len(x)


def _saved(run: Run, fresh: Pair, folder: Path, device: str) -> Check:
    """The largest difference of a weight after saving and loading."""
    again = load(folder, pair=fresh, device=device, data=run.data)
    (x,) = run.split("test")
    with torch.no_grad():
        before, after = (_scored(each.pair, x) for each in (run, again))
    return Check("saved and loaded", (before - after).abs().max().item(), 0.0, 0.0)


def _scored(pair: Pair, x: Tensor) -> Tensor:
    with seeded(1, x.device):
        return log_weights(pair, [x], 3)


def _bounds(pair: Pair, x: Tensor, log_p: float) -> Iterator[Check]:
    """By how much ELBO <= IWAE_10 <= IWAE_100 <= log p is violated, beyond what the noise explains."""
    bounds = [_elbo(pair, x)]
    for K in (10, 100):
        found = evaluation.log_likelihood(pair, [x], K).summary()
        bounds.append((found["log_likelihood"], found["standard_error"]))
    bounds.append((log_p, 0.0))
    names = ("ELBO", "IWAE 10", "IWAE 100", "log p")
    for i, ((low, a), (high, b)) in enumerate(itertools.pairwise(bounds)):
        yield Check(f"{names[i]} above {names[i + 1]} by", max(low - high, 0.0), 0.0, SIGMAS * math.hypot(a, b))


def _sandwich(pair: Pair, model: LinearGaussian, x: Tensor) -> Iterator[Check]:
    found = evaluation.bdmc(pair, [x], 100, 16)
    log_p = model.log_p(found.data[0]).cpu()
    for name, bound in (("lower", found.lower), ("upper", found.upper)):
        off = bound - log_p
        error = off.std().item() / math.sqrt(len(off))
        allowed = SIGMAS * error + found.gap.mean().item()
        yield Check(f"BDMC, {name} bound", bound.mean().item(), log_p.mean().item(), allowed)


def _lowered(pair: Pair, x: Tensor) -> Check:
    """The largest difference of a gradient of the traced step from the eager one, relative to its norm."""
    parameters = [parameter for parameter in pair.parameters() if parameter.requires_grad]
    one = torch.ones((), device=x.device)
    found = []
    for calls in (0, 10**4):  # so few calls stay eager, so many are traced
        step = Step(ELBO(pair), Optimizer(parameters, lr=1e-3))
        engine = step.lower([[x], [x.flip(0)]], calls, compile=None if calls else False)
        if calls and engine.tier == "eager":
            return Check(f"traced step ({engine.reason})", math.nan, 0.0, 1e-4)
        with seeded(2, x.device):
            found.append(step.engine.call([x], one, one)[1].gradients)
    off = [((a - b).norm() / a.norm().clamp_min(1e-12)).item() for a, b in zip(*found, strict=True)]
    return Check("traced step, relative difference", max(off), 0.0, 1e-4)
