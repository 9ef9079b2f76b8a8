"""Training: epochs of SVI steps over resident or streamed data, the held-out ELBO after each, best and last weights."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovae.data import stream
from pyrovae.data.dataset import Columns, Dataset
from pyrovae.errors import PyrovaeError, UsageError
from pyrovae.evaluation.elbo import data_at_once, elbo
from pyrovae.lowering import Engine
from pyrovae.options import TrainConfig
from pyrovae.pair import Pair
from pyrovae.progress import Progress
from pyrovae.store import State, weights
from pyrovae.svi import Optimizer, Step, kl_weight, learning_rate, objective
from pyrovae.svi.precision import note, require_precision
from pyrovae.svi.step import Batch

STEPS = 3000
"""Steps of a fit whose epochs were not given."""

BATCH = 128
"""Data a step where the batch size was not given."""

POOL = 20
"""Batches of sentences that are sorted by length together."""


@dataclasses.dataclass
class Trained:
    """What training leaves behind.

    Attributes:
        best: weights of the epoch with the best held-out ELBO.
        last: weights at the end.
        metrics: one object an epoch.
        best_epoch: which epoch `best` is from; 0 before the first.
        stopped: `done`, `patience`, `interrupted` or `diverged`.
        skipped: steps left out because a gradient was not finite.
        seconds: training and held-out scoring.
        engine: how the steps ran.
    """

    best: State
    last: State
    metrics: list[dict[str, Any]]
    best_epoch: int
    stopped: str
    skipped: int
    seconds: float
    engine: Engine


def batch_size(data: Dataset, config: TrainConfig) -> int:
    """Data a step; raises UsageError where more are asked for than there are."""
    n = data.size("train")
    # A default of the variant is no demand.
    if config.batch_size is not None and config.batch_size > n and "batch_size" in config.model_fields_set:
        raise UsageError(f"batch size {config.batch_size} is larger than the {n} training data: set it to {n} or less")
    return min(config.batch_size or BATCH, n)


def epochs(data: Dataset, config: TrainConfig) -> int:
    """Passes over the data: as given, or about `STEPS` steps and at least ten."""
    return config.epochs or max(10, math.ceil(STEPS * batch_size(data, config) / data.size("train")))


def shuffled(
    columns: stream.Placed,
    size: int,
    device: torch.device,
    lengths: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Columns]:
    """The rows in a fresh order, in pieces of `size`, one of them short.

    With `lengths`, each piece holds rows of similar length: the order is cut into pools of `POOL` pieces, each pool is
    sorted, and its pieces come in a fresh order.

    Args:
        columns: as `stream.place` gives them.
        size: rows a piece.
        device: where the columns are.
        lengths: of each row, (N,), on the CPU.
        generator: of the order, on the CPU; None is torch's own.
    """
    n = min(len(column) for column in columns.values())
    order = torch.randperm(n, generator=generator)
    sizes = [len(piece) for piece in order.split(size)]
    if lengths is not None:
        pools = [pool[lengths[pool].argsort(stable=True)] for pool in order.split(size * POOL)]
        pieces = [piece for pool in pools for piece in pool.split(size)]
        pieces = [pieces[i] for i in torch.randperm(len(pieces), generator=generator).tolist()]
        order, sizes = torch.cat(pieces), [len(piece) for piece in pieces]
    yield from stream.batches(columns, order.to(device).split(sizes))


def order_of(seed: int) -> torch.Generator:
    """The generator of the order of the data, which nothing else draws from: two guides with other weights and other
    noise see the same minibatches. It lies on the CPU, so that they are the same on every device."""
    return torch.Generator().manual_seed(seed + 2**31)  # not the numbers that the weights come from


def train(
    pair: Pair,
    data: Dataset,
    config: TrainConfig,
    device: torch.device,
    show: Progress,
    on_epoch: Callable[[dict[str, Any]], None] = lambda metrics: None,
    frozen_model: bool = False,
) -> Trained:
    """Trains a pair, which must stand on `device`; it ends with the last weights.

    Noise is drawn from torch's generators. The rows of each batch follow from `config.seed`, the size of the data and
    that of a batch alone.

    Args:
        pair: model and guide.
        data: the train split is trained on, the valid split is scored after every epoch.
        config: how.
        device: where.
        show: where progress goes.
        on_epoch: called with the metrics of each epoch.
        frozen_model: the model stays in eval mode: without dropout, and with the moments that its norms have kept, it
            is the p(x, z) by which guides are scored.

    Raises:
        PyrovaeError: where the pair cannot be trained by the ELBO, or every gradient of the first epoch is not finite.
        UsageError: where the batch is larger than the data.
    """
    size, total_epochs, n = batch_size(data, config), epochs(data, config), data.size("train")
    steps = math.ceil(n / size)
    cycle = math.ceil(steps * total_epochs / config.kl_cycles)
    read = data.read_by(pair.inputs)
    stored = {name: column for name, column in data.columns["train"].items() if name in read}
    columns = stream.place(stored, device, data.workers)
    lengths, order = data.lengths("train"), order_of(config.seed)
    first = data.batch(stream.take(columns, torch.arange(min(2, n), device=device)), pair.inputs)
    require_precision(config.precision, device)
    aim = objective(pair, first, config)
    valid = tuple(tensor.to(device) for tensor in data.split("valid", pair.inputs))
    at_once = data_at_once(pair, valid)
    parameters = [parameter for parameter in pair.parameters() if parameter.requires_grad]
    if not parameters:
        raise PyrovaeError("the pair has no parameter that requires a gradient: there is nothing to train")
    optimizer = Optimizer(parameters, config.optimizer, config.lr, config.adam_eps, config.weight_decay, config.clip)

    def batch_of(rows: Columns) -> Batch:
        return data.batch(rows, pair.inputs)

    step = Step(aim, optimizer, batch_of, config.precision)
    run = Trained(snapshot(pair), {}, [], 0, "done", 0, 0.0, step.engine)
    best, started, done = -math.inf, time.perf_counter(), 0
    if told := note(config.precision, device):
        show.line(f"note: {told}")
    pair.train()
    if frozen_model:
        pair.model.eval()
    try:
        if lengths is None:
            run.engine = step.lower(examples(columns, size), steps * total_epochs, config.compile, show)
        else:
            run.engine = Engine(step.gradients, "eager", "sentences differ in length from batch to batch")
        if told := run.engine.note("training"):
            show.line(told)
        show.start("epoch", total=total_epochs)
        for epoch in range(1, total_epochs + 1):
            begun, skipped = time.perf_counter(), run.skipped
            plan = [
                (
                    learning_rate(i, steps * total_epochs, config.lr, config.schedule),
                    kl_weight(i, round(config.kl_warmup * steps), config.beta, cycle),
                )
                for i in range(done, done + steps)
            ]
            batches = shuffled(columns, size, device, lengths, order)
            train_elbo, mean_rate, distortion = one_pass(step, batches, plan, n)
            seconds, run.skipped, done = time.perf_counter() - begun, int(optimizer.skipped.item()), done + steps
            held_out = elbo(pair, valid, at_once, config.seed)["elbo"]
            metrics = {
                "epoch": epoch,
                "step": done,
                "train_elbo": train_elbo,
                "valid_elbo": held_out,
                "rate": mean_rate,
                "distortion": distortion,
                "lr": plan[-1][0],
                "kl_weight": plan[-1][1],
                "train_seconds": seconds,
                "steps": steps,
            }
            run.metrics.append(metrics)
            if held_out > best:
                best, run.best, run.best_epoch = held_out, snapshot(pair), epoch
            on_epoch(metrics)
            show.advance(ELBO=train_elbo, held_out=held_out, best=best, lr=plan[-1][0])
            if run.skipped - skipped == steps:
                run.stopped = "diverged"
                break
            if config.patience and epoch - run.best_epoch >= config.patience:
                run.stopped = "patience"
                break
    except KeyboardInterrupt:
        run.stopped = "interrupted"
    finally:
        show.close()
        stream.close(columns)
    if not run.best_epoch and run.metrics and run.stopped != "interrupted":
        raise PyrovaeError(
            f"training never reached a finite held-out ELBO ({run.skipped} of {done} steps had gradients that are not "
            f"finite and were skipped): look at the data, or lower --lr"
        )
    run.last, run.seconds = snapshot(pair), time.perf_counter() - started
    if run.stopped == "interrupted" and not run.best_epoch:
        run.best = copy.copy(run.last)
    return run


def one_pass(
    step: Step, batches: Iterable[Columns], plan: Sequence[tuple[float, float]], n: int
) -> tuple[float, float, float]:
    """One step on each batch; mean ELBO, rate and distortion, nats a datum. Only the end of it waits for the device.

    Args:
        step: what is done with a batch.
        batches: stored rows.
        plan: learning rate and KL weight of each step.
        n: how many data there are in all.
    """
    device = step.optimizer.skipped.device
    sums, shares = [torch.zeros((), device=device) for _ in range(4)], dict[int, Tensor]()
    rates, weights = torch.tensor(plan, device=device).unbind(1)  # the one copy of an epoch to the device
    for rows, rate, weight in zip(batches, rates, weights, strict=True):
        B = len(next(iter(rows.values())))
        if B not in shares:
            shares[B] = torch.full((), B / n, device=device)
        torch._foreach_add_(sums, list(step(rows, rate, weight, shares[B])))
    found = (torch.stack(sums[:3]) / sums[3]).tolist()
    return found[0], found[1], found[2]


def examples(columns: stream.Placed, size: int, count: int = 3) -> list[Columns]:
    """A few batches of the first rows, in their order, each shifted by one."""
    n = min(len(column) for column in columns.values())
    rows = torch.arange(size, device=next(iter(columns.values())).device)
    return [stream.take(columns, (rows + shift) % n) for shift in range(count)]


def snapshot(pair: Pair) -> State:
    """A copy of the weights, on the CPU."""
    return {name: value.to("cpu", copy=True) for name, value in weights(pair).items()}
