"""The state of training between two steps: with it, a fit that was stopped goes on bit for bit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyrovae import directory, store
from pyrovae.errors import PyrovaeError
from pyrovae.lowering.engine import Tier
from pyrovae.store import State


@dataclasses.dataclass
class Position:
    """Where training stands, as run.json keeps it.

    Attributes:
        epoch: epochs that are over.
        step: steps that are done, in all.
        of: epochs that were asked for.
        best: the best held-out ELBO so far, nats; -inf before the first.
        best_epoch: which epoch that is of; 0 before the first.
        seconds: of training and held-out scoring so far.
        tier: how the steps ran (`pyrovae.lowering.Engine`).
        device: where, `cpu` or `cuda`.
        threads: of torch on the CPU.
        ranks: processes that trained together.
        microbatch: data of a step that went at once, where memory was short; None where all did.
    """

    epoch: int = 0
    step: int = 0
    of: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    tier: Tier = "eager"
    device: str = "cpu"
    threads: int = 1
    ranks: int = 1
    microbatch: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON, which has no infinity."""
        return dataclasses.asdict(self) | {"best": self.best if math.isfinite(self.best) else None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Position:
        """The inverse of `to_json`."""
        found = {field.name: values[field.name] for field in dataclasses.fields(cls)}
        return cls(**found | {"best": -math.inf if found["best"] is None else float(found["best"])})


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """All that the next step depends on.

    Attributes:
        position: where training stands.
        weights: parameters and buffers now.
        best: those of the best held-out ELBO; empty before the first.
        optimizer: moments and counts (`pyrovae.svi.Optimizer.state`).
        generators: states of torch's generators, `cpu`, `device` and `order`: the one of the order of the data stands
            at the beginning of the present epoch.
        sums: (4,) figures of the present epoch so far (`pyrovae.svi.step.Figures`).
        metrics: one object an epoch.
    """

    position: Position
    weights: State
    best: State
    optimizer: State
    generators: State
    sums: Tensor
    metrics: list[dict[str, Any]]

    def to_bytes(self) -> bytes:
        """The tensors, as safetensors; `position` and `metrics` stand elsewhere."""
        groups = {name: getattr(self, name) for name in GROUPS}
        named = {f"{group}/{name}": tensor for group, state in groups.items() for name, tensor in state.items()}
        return store.to_bytes(named | {"sums": self.sums})

    @classmethod
    def read(cls, folder: Path, content: Mapping[str, Any]) -> Checkpoint:
        """The checkpoint that run.json names, `content` being that file.

        Raises:
            PyrovaeError: where it is missing or damaged.
        """
        what = str(folder / directory.PATHS["checkpoint"])
        tensors = store.tensors_of(directory.read(folder, content, "checkpoint"), what)
        metrics = store.metrics_of(directory.read(folder, content, "metrics"), str(folder / directory.METRICS))
        groups: dict[str, State] = {name: {} for name in GROUPS}
        try:
            sums = tensors.pop("sums")
            for name, tensor in tensors.items():
                group, _, rest = name.partition("/")
                groups[group][rest] = tensor
            position = Position.from_json(content["progress"])
        except (KeyError, TypeError, ValueError) as error:
            raise PyrovaeError(f"{what} is damaged ({type(error).__name__}: {error})") from None
        return cls(position, **groups, sums=sums, metrics=metrics)

    def best_weights(self) -> State:
        """The weights of the best held-out ELBO; the present ones before the first epoch is over."""
        return self.best or self.weights


GROUPS = ("weights", "best", "optimizer", "generators")


def generators(device: torch.device) -> State:
    """The states of torch's generators, on the CPU and on the device."""
    found = {"cpu": torch.default_generator.get_state()}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        found["device"] = torch.mps.get_rng_state()
    return found


def set_generators(state: State, device: torch.device) -> None:
    """The inverse of `generators`; a state of another kind of device is left out."""
    torch.default_generator.set_state(state["cpu"])
    if "device" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["device"], device)
    elif "device" in state and device.type == "mps":
        torch.mps.set_rng_state(state["device"])
