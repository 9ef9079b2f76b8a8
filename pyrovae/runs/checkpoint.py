"""The state of training between two steps: with it, a fit that was stopped goes on bit for bit."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError
from pyrovae.lowering.engine import Tier
from pyrovae.runs import directory, texts
from pyrovae.runs import tensors as store
from pyrovae.runs.tensors import State
from pyrovae.storage.jsonable import Json, JsonMapping


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
        inner: steps of the guide alone (`pyrovae.svi.aggressive`), in all.
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
    inner: int = 0

    def to_json(self) -> Json:
        """As JSON, which has no infinity."""
        return dataclasses.asdict(self) | {"best": self.best if math.isfinite(self.best) else None}

    @classmethod
    def from_json(cls, values: JsonMapping) -> Position:
        """The inverse of `to_json`."""
        values = {"inner": 0, **values}  # which older runs do not have
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
        sums: (4,) figures of the present epoch so far (`pyrovae.svi.pieces.Figures`).
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
    def read(cls, folder: Path, content: JsonMapping) -> Checkpoint:
        """The checkpoint that run.json names, `content` being that file.

        Raises:
            PyrovaeError: where it is missing or damaged.
        """
        what = directory.path_of(folder, content, "checkpoint")
        tensors = store.tensors_of(directory.read(folder, content, "checkpoint"), what)
        metrics = store.metrics_of(
            directory.read(folder, content, "metrics", texts.METRICS), directory.path_of(folder, content, "metrics")
        )
        metrics = [{key: math.nan if value is None else value for key, value in line.items()} for line in metrics]
        groups: dict[str, State] = {name: {} for name in GROUPS}
        try:
            sums = tensors.pop("sums")
            for name, tensor in tensors.items():
                group, _, rest = name.partition("/")
                groups[group][rest] = tensor
            position = Position.from_json(content["progress"])
        except (KeyError, TypeError, ValueError) as error:
            raise PyrovaeError(f"{what} is damaged ({type(error).__name__}: {error})") from None
        found = cls(position, **groups, sums=sums, metrics=metrics)
        found.require_sound(what)
        return found

    def require_sound(self, what: str) -> None:
        """Raises PyrovaeError where a tensor cannot be one of a checkpoint; `what` names the file."""
        store.refuse_nan({f"weights/{name}": tensor for name, tensor in self.weights.items()}, what, infinity=False)
        store.refuse_nan({f"best/{name}": tensor for name, tensor in self.best.items()}, what, infinity=False)
        for name, tensor in self.optimizer.items():  # squares of large gradients may be infinite
            store.refuse_nan({f"optimizer/{name}": tensor}, what, infinity=not name.endswith(SQUARES))
        store.refuse_nan({"sums": self.sums}, what)
        if not self.weights:
            raise PyrovaeError(f"{what} is damaged (it holds no weights)")
        like = {name: (tensor.shape, tensor.dtype) for name, tensor in self.weights.items()}
        best = {name: (tensor.shape, tensor.dtype) for name, tensor in self.best.items()}
        if best != (like if self.position.best_epoch else {}):
            odd = sorted(set(best.items()) ^ set(like.items()), key=str)[0][0]
            raise PyrovaeError(
                f"{what} is damaged (the best epoch is {self.position.best_epoch}, and 'best/{odd}' does not fit that "
                f"and 'weights/{odd}')"
            )
        if self.sums.shape != (4,) or not self.sums.is_floating_point():
            raise PyrovaeError(f"{what} is damaged ('sums' has shape {tuple(self.sums.shape)} and not (4,))")
        for name, tensor in self.optimizer.items():
            counts = name in COUNTS or name.rpartition(".")[2] in ("step", *SQUARES)
            if counts and tensor.dtype.is_signed and tensor.numel() and tensor.min() < 0:
                raise PyrovaeError(f"{what} is damaged ('optimizer/{name}' is {tensor.min().item():g}, below 0)")
        for name in ("cpu", "order"):
            if name not in self.generators:
                raise PyrovaeError(f"{what} is damaged (it has no state 'generators/{name}')")
        for name, state in self.generators.items():
            _require_state(name, state, what)
        for epoch, line in enumerate(self.metrics, 1):
            if missing := sorted(EVERY_EPOCH - set(line)):
                raise PyrovaeError(f"{what}: {directory.METRICS} has no {missing[0]} of epoch {epoch}: it is damaged")
            if line["epoch"] != epoch:
                raise PyrovaeError(
                    f"{what}: line {epoch} of {directory.METRICS} is of epoch {line['epoch']}: it is damaged"
                )
        if len(self.metrics) != self.position.epoch:
            raise PyrovaeError(
                f"{what} is of epoch {self.position.epoch}, and {directory.METRICS} has {len(self.metrics)} lines: "
                f"the files are damaged"
            )

    def best_weights(self) -> State:
        """The weights of the best held-out ELBO; the present ones before the first epoch is over."""
        return self.best or self.weights


GROUPS = ("weights", "best", "optimizer", "generators")

EVERY_EPOCH = {"epoch", "step", "train_elbo", "valid_elbo", "rate", "distortion", "kl_weight"}
"""What the metrics of every epoch say, of which curves and warnings are made at the end."""

COUNTS = ("skipped", "streak", "longest")
"""Of the optimizer, beside those of each parameter."""

SQUARES = ("exp_avg_sq", "exp_inf", "square_avg")
"""Of each parameter, what is never negative and may be infinite."""


def _require_state(name: str, state: Tensor, what: str) -> None:
    """Raises PyrovaeError where a tensor is no state of one of torch's generators; `device` is one of another device,
    of which only the size is known here."""
    size = torch.default_generator.get_state().numel()
    fits = state.dtype == torch.uint8 and state.dim() == 1 and state.numel() <= size
    if fits and name != "device":
        try:
            torch.Generator().set_state(state)
        except (RuntimeError, TypeError):
            fits = False
    if not fits or name not in ("cpu", "order", "device"):
        raise PyrovaeError(
            f"{what} is damaged ('generators/{name}' of {state.dtype} and shape {tuple(state.shape)} is no state of a "
            f"generator)"
        )
