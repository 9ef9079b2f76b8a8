"""How far a fit is: its books, what a checkpoint takes of it, and how it is put back there."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pyrovae.pairs.pair import Pair
from pyrovae.runs import tensors
from pyrovae.runs.checkpoint import Checkpoint, Position
from pyrovae.runs.tensors import State, weights
from pyrovae.runs.texts import Metrics
from pyrovae.runtime.seeding import generators, set_generators
from pyrovae.svi import Optimizer, Step
from pyrovae.training.feed import Feed


class TrainState:
    """The books of a fit between its first and its last step.

    Args:
        pair: what is trained.
        optimizer: of its parameters.
        feed: whose order a checkpoint keeps.
        steps: the first one is that of the plan; all have the microbatch of a checkpoint.
        device: where the pair stands.
        start: the checkpoint from which training goes on; None where it begins.

    Attributes:
        position: epochs and steps done, and how.
        sums: of ELBO, rate, distortion and data over the steps of the epoch.
        metrics: one object an epoch.
        best: weights of the best held-out ELBO.
        torn: inside a step, or the books of an epoch, where no checkpoint can be taken.
    """

    def __init__(
        self,
        pair: Pair,
        optimizer: Optimizer,
        feed: Feed,
        steps: Sequence[Step],
        device: torch.device,
        start: Checkpoint | None,
    ) -> None:
        self.pair, self.optimizer, self.feed, self.steps, self.device = pair, optimizer, feed, list(steps), device
        self.start = start
        self.position = Position(of=feed.epochs)
        self.sums = [torch.zeros((), device=device) for _ in range(4)]
        self.metrics: list[dict[str, Any]] = []
        self.best = snapshot(pair)
        self.torn = False
        self.began = time.perf_counter()

    def restore(self) -> None:
        """Puts everything where it stood at the checkpoint, where there is one."""
        if self.start is None:
            return
        start, at = self.start, self.start.position
        tensors.set_weights(self.pair, start.weights, "the weights of the checkpoint")
        self.optimizer.load_state(start.optimizer)
        self.feed.order.set_state(start.generators["order"])
        if at.device == self.device.type:
            set_generators(start.generators, self.device)
        if at.ranks == self.feed.ranks and at.device == self.device.type:
            for step in self.steps:
                step.microbatch = at.microbatch
        self.sums = [each.to(self.device, copy=True) for each in start.sums.unbind()]
        if start.best:
            self.best = dict(start.best)
        # Last: until here nothing is saved.
        self.metrics, self.position = list(start.metrics), dataclasses.replace(at, of=self.feed.epochs)

    def checkpoint(self) -> Checkpoint:
        """What the next step depends on, copied to the CPU."""
        step, feed = self.steps[0], self.feed
        position = dataclasses.replace(
            self.position,
            seconds=self.seconds(),
            tier=step.engine.tier,
            device=self.device.type,
            threads=torch.get_num_threads(),
            ranks=feed.ranks,
            microbatch=step.microbatch,
        )
        inside = self.position.step > self.position.epoch * feed.steps
        return Checkpoint(
            position=position,
            weights=snapshot(self.pair),
            best=self.best if self.position.best_epoch else {},
            optimizer={name: tensor.to("cpu", copy=True) for name, tensor in self.optimizer.state().items()},
            generators=generators(self.device) | {"order": feed.drawn_from if inside else feed.order.get_state()},
            sums=torch.stack(self.sums).cpu(),
            metrics=list(self.metrics),
        )

    def close_epoch(
        self, held_out: Mapping[str, float], seconds: float, more: Mapping[str, float], inner_steps: bool
    ) -> Metrics:
        """Keeps what an epoch has given, and gives its metrics.

        Args:
            held_out: `elbo`, `rate` and `distortion` after it, nats a datum.
            seconds: of its steps.
            more: other metrics.
            inner_steps: whether steps of the guide alone are among them.
        """
        train_elbo, rate, distortion = (torch.stack(self.sums[:3]) / self.sums[3]).tolist()
        self.torn = True
        for total in self.sums:
            total.zero_()
        at, (lr, weight) = self.position, self.feed.last
        metrics = {
            "epoch": at.epoch + 1,
            "step": at.step,
            "train_elbo": train_elbo,
            "valid_elbo": held_out["elbo"],
            "rate": rate,
            "distortion": distortion,
            "valid_rate": held_out["rate"],
            "valid_distortion": held_out["distortion"],
            "lr": lr,
            "kl_weight": weight,
            "train_seconds": seconds,
            "steps": self.feed.steps,
            **more,
        }
        if inner_steps:
            metrics |= {"inner_steps": at.inner - sum(each["inner_steps"] for each in self.metrics)}
        self.metrics.append(metrics)
        at.epoch += 1
        if held_out["elbo"] > at.best:
            at.best, at.best_epoch, self.best = held_out["elbo"], at.epoch, snapshot(self.pair)
        self.torn = False
        return metrics

    def seconds(self) -> float:
        """Of the fit so far, those before the checkpoint among them."""
        before = 0.0 if self.start is None else self.start.position.seconds
        return before + time.perf_counter() - self.began


def snapshot(pair: Pair) -> State:
    """A copy of the weights, on the CPU."""
    return {name: value.to("cpu", copy=True) for name, value in weights(pair).items()}
