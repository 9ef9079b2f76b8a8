"""Training: epochs of SVI steps over resident or streamed data, the held-out ELBO after each, best and last weights."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyrovae.data import stream
from pyrovae.data.dataset import Columns, Dataset
from pyrovae.errors import PyrovaeError
from pyrovae.lowering import Engine
from pyrovae.objectives.choose import objective
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import apart
from pyrovae.runs import tensors
from pyrovae.runs.checkpoint import Checkpoint, Position
from pyrovae.runs.tensors import State, weights
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.ranks import from_first, noise_of, world
from pyrovae.runtime.seeding import generators, set_generators
from pyrovae.runtime.signals import Stop, stoppable
from pyrovae.runtime.turns import between
from pyrovae.svi import Optimizer, Step, kl_weight, learning_rate, not_additive
from pyrovae.svi.aggressive import Aggressive, Drawn, lags
from pyrovae.svi.culprit import culprit
from pyrovae.svi.pieces import Batch
from pyrovae.svi.precision import note, require_precision
from pyrovae.svi.step import Figures
from pyrovae.training.heldout import HeldOut
from pyrovae.training.journal import Every
from pyrovae.training.order import batch_size, epochs, order_of, shuffled


@dataclasses.dataclass
class Trained:
    """What training leaves behind.

    Attributes:
        best: weights of the epoch with the best held-out ELBO.
        last: weights at the end.
        metrics: one object an epoch.
        best_epoch: which epoch `best` is from; 0 before the first.
        stopped: `done`, `patience`, `interrupted` or `diverged`.
        steps: how many there were.
        inner: steps of the guide alone, beside them (`pyrovae.svi.aggressive`).
        skipped: steps left out because loss or gradients were not finite.
        seconds: training and held-out scoring.
        engine: how the steps ran.
        why: what was not finite where training `diverged`, in words.
    """

    best: State
    last: State
    metrics: list[dict[str, Any]]
    best_epoch: int
    stopped: str
    steps: int
    inner: int
    skipped: int
    seconds: float
    engine: Engine
    why: str = ""


def train(
    pair: Pair,
    data: Dataset,
    config: TrainConfig,
    device: torch.device,
    show: Progress,
    on_epoch: Callable[[dict[str, Any]], None] = lambda metrics: None,
    frozen_model: bool = False,
    save: Callable[[Checkpoint], None] | None = None,
    start: Checkpoint | None = None,
) -> Trained:
    """Trains a pair, which must stand on `device`; it ends with the last weights.

    Noise is drawn from torch's generators. The rows of each batch follow from `config.seed`, the size of the data and
    that of a batch alone. Ctrl-C and SIGTERM wait for the end of a step.

    Where `torch.distributed` is initialised, all processes train one pair: each takes its rows of every batch, and
    noise of its own that follows from `config.seed`, its rank and the step. The first one saves.

    Args:
        pair: model and guide.
        data: the train split is trained on, the valid split is scored after every epoch.
        config: how.
        device: where.
        show: where progress goes.
        on_epoch: called with the metrics of each epoch.
        frozen_model: the model stays in eval mode: without dropout, and with the moments that its norms have kept, it
            is the p(x, z) by which guides are scored.
        save: called with a checkpoint, as often as `config.checkpoint_every` says and where training ends.
        start: a checkpoint from which training goes on; on a CPU with as many threads, bit for bit.

    Raises:
        PyrovaeError: where the pair cannot be trained by the ELBO, or never gets a finite held-out ELBO.
        UsageError: where the batch is larger than the data.
    """
    with stoppable() as stop:
        return _Training(pair, data, config, device, show, frozen_model, start).run(on_epoch, save, stop)


class _Training:
    """A fit between its first and its last step."""

    def __init__(
        self,
        pair: Pair,
        data: Dataset,
        config: TrainConfig,
        device: torch.device,
        show: Progress,
        frozen_model: bool,
        start: Checkpoint | None,
    ) -> None:
        self.pair, self.data, self.config, self.device, self.show = pair, data, config, device, show
        self.frozen_model, self.start, (self.rank, self.ranks) = frozen_model, start, world()
        self.size, self.epochs, self.n = batch_size(data, config), epochs(data, config), data.size("train")
        self.steps = math.ceil(self.n / self.size)
        read = data.read_by(pair.inputs)
        stored = {name: column for name, column in data.columns["train"].items() if name in read}
        self.columns = stream.place(stored, device, data.workers)
        self.lengths, self.order = data.lengths("train"), order_of(config.seed)
        first = data.batch(stream.take(self.columns, torch.arange(min(2, self.n), device=device)), pair.inputs)
        require_precision(config.precision, device)
        aim = objective(pair, first, config)
        self.held_out = HeldOut(pair, data, device, config.seed)
        parameters = [parameter for parameter in pair.parameters() if parameter.requires_grad]
        if not parameters:
            raise PyrovaeError("the pair has no parameter that requires a gradient: there is nothing to train")
        self.optimizer = Optimizer(
            parameters,
            config.optimizer,
            config.lr,
            config.adam_eps,
            config.weight_decay,
            config.clip,
            config.momentum,
            apart(pair)[1] if config.aggressive else (),
        )

        def step_of(optimizer: Optimizer) -> Step:
            return Step(aim, optimizer, self._batch_of, config.precision, config.microbatch, show)

        self.step = step_of(self.optimizer)
        self.aggressive: Aggressive | None = None
        if config.aggressive:
            self.held_out.require_information()
            self.aggressive = Aggressive(pair, self.optimizer, step_of, config.aggressive)
        self.position, self.plan = Position(of=self.epochs), list[tuple[float, float]]()
        self.sums = [torch.zeros((), device=device) for _ in range(4)]
        self.metrics: list[dict[str, Any]] = []
        self.best = snapshot(pair)
        self.torn = False  # inside a step, or the books of an epoch, where no checkpoint can be taken
        self.began = time.perf_counter()
        self.every = Every.parse(config.checkpoint_every)

    def _batch_of(self, rows: Columns) -> Batch:
        return self.data.batch(rows, self.pair.inputs)

    def run(
        self, on_epoch: Callable[[dict[str, Any]], None], save: Callable[[Checkpoint], None] | None, stop: Stop
    ) -> Trained:
        self.pair.train()
        if self.frozen_model:
            self.pair.model.eval()
        if told := note(self.config.precision, self.device):
            self.show.line(f"note: {told}")
        for told in not_additive(self.step.objective) if self.ranks > 1 or self.config.microbatch else ():
            self.show.line(f"note: {told}")
        from_first(self.pair)
        try:
            self._restore()
            if not (stopped := self._ended()):
                self._lower()
            else:
                self.step.engine.tier = self.position.tier
            self.show.start("epoch", total=self.epochs)
            if self.position.epoch:
                self.show.advance(self.position.epoch)
            while not stopped:
                begun = time.perf_counter()
                if self._pass(save, stop):
                    seconds = time.perf_counter() - begun
                    held_out, more = self.held_out.elbo(), self.held_out.accuracy()
                    if self.aggressive is not None and lags(self.metrics):
                        more |= self.held_out.information()
                    with stop.holding():
                        self._close_epoch(held_out, seconds, more, on_epoch)
                stopped = self._ended()
        except KeyboardInterrupt:
            if self.ranks > 1:  # which do not stop at the same step: the last checkpoint is what stays
                raise
            stopped = "interrupted"
        finally:
            self.show.close()
            stream.close(self.columns)
        skipped, at = int(self.optimizer.skipped.item()), self.position
        never = not at.best_epoch and (self.metrics or skipped >= at.step + at.inner)
        if never and stopped != "interrupted":
            raise PyrovaeError(
                f"training never reached a finite held-out ELBO ({skipped} of {at.step + at.inner} steps were skipped, "
                f"because loss or gradients were not finite): {self.culprit()}; look at the data, or lower --lr"
            )
        if save is not None and not self.torn and at.step:
            save(self.checkpoint())
        last = snapshot(self.pair)
        best = self.best if at.best_epoch else copy.copy(last)
        why = self.culprit() if stopped == "diverged" else ""
        seconds = self._seconds()
        return Trained(
            best,
            last,
            self.metrics,
            at.best_epoch,
            stopped,
            at.step,
            at.inner,
            skipped,
            seconds,
            self.step.engine,
            why,
        )

    def _ended(self) -> str:
        """Why training ends here; empty where it goes on."""
        at, config = self.position, self.config
        if self.optimizer.longest.item() >= config.max_skipped:
            return "diverged"
        if config.patience and at.epoch - at.best_epoch >= config.patience:
            return "patience"
        return "done" if at.epoch >= self.epochs else ""

    def culprit(self) -> str:
        """What is not finite, in words."""

        def pieces() -> Iterator[Columns]:
            for rows in torch.arange(self.n, device=self.device).split(self.size):
                yield stream.take(self.columns, rows)

        return culprit(self.pair, pieces, self.step)

    def _lower(self) -> None:
        if self.lengths is None:
            examples_of = examples(self.columns, -(-(self.size - self.rank) // self.ranks))
            engine = self.step.lower(examples_of, self.steps * self.epochs, self.config.compile, self.show)
            if self.aggressive is not None and lags(self.metrics):
                self.aggressive.lower(examples_of, self.steps, self.config.compile)
        else:
            self.step.plan(stream.take(self.columns, torch.arange(min(self.size, self.n), device=self.device)))
            engine = Engine(self.step.gradients, "eager", "sentences differ in length from batch to batch")
        if told := engine.note("training"):
            self.show.line(told)

    def _restore(self) -> None:
        """Puts everything where it stood at the checkpoint."""
        if self.start is None:
            return
        start, at = self.start, self.start.position
        tensors.set_weights(self.pair, start.weights, "the weights of the checkpoint")
        self.optimizer.load_state(start.optimizer)
        self.order.set_state(start.generators["order"])
        if at.device == self.device.type:
            set_generators(start.generators, self.device)
        if at.ranks == self.ranks and at.device == self.device.type:
            for step in self._all_steps():
                step.microbatch = at.microbatch
        self.sums = [each.to(self.device, copy=True) for each in start.sums.unbind()]
        if start.best:
            self.best = dict(start.best)
        # Last: until here nothing is saved.
        self.metrics, self.position = list(start.metrics), dataclasses.replace(at, of=self.epochs)

    def _all_steps(self) -> list[Step]:
        return [self.step] + ([] if self.aggressive is None else [self.aggressive.guide, self.aggressive.model])

    def _stepped(self, batch: Drawn, total: int, rate: Tensor, weight: Tensor, pieces: Sequence[Tensor]) -> Figures:
        """One step of the plan, with those of the guide before it where that lags."""
        if self.aggressive is None or not lags(self.metrics):
            return self.step(batch.rows, rate, weight, batch.fraction, total)
        figures, count = self.aggressive(batch, self._drawn(pieces), rate, weight)
        self.position.inner += count
        return figures

    def _drawn(self, pieces: Sequence[Tensor]) -> Iterator[Drawn]:
        """Batches of the epoch, drawn at random; they follow from seed and step."""
        generator = torch.Generator().manual_seed(noise_of(self.config.seed, 0, self.position.step))
        while True:
            piece = pieces[int(torch.randint(len(pieces), (), generator=generator))]
            rows = stream.take(self.columns, piece.to(self.device))
            yield Drawn(rows, torch.full((), len(piece) / self.n, device=self.device), self._units(piece))

    def _units(self, piece: Tensor) -> int:
        return len(piece) if self.lengths is None else int(self.lengths[piece].sum())

    def _pass(self, save: Callable[[Checkpoint], None] | None, stop: Stop) -> bool:
        """The steps of an epoch that are still to be done; whether all were, or too many in a row were skipped."""
        done, total, config = self.position.epoch * self.steps, self.steps * self.epochs, self.config
        self.plan = [
            (
                learning_rate(i, total, config.lr, config.schedule),
                kl_weight(
                    i,
                    round(config.kl_warmup * self.steps),
                    config.beta,
                    math.ceil(total / config.kl_cycles),
                    config.kl_start,
                ),
            )
            for i in range(done, done + self.steps)
        ]
        self.order_state, skip = self.order.get_state(), self.position.step - done
        every = shuffled(self.n, self.size, self.lengths, self.order)
        whole = every[skip:]
        if not whole:
            return True
        pieces = [piece[self.rank :: self.ranks] for piece in whole]
        shares = {len(piece): torch.full((), len(piece) / self.n, device=self.device) for piece in pieces}
        rows_of = torch.cat(pieces).to(self.device).split([len(piece) for piece in pieces])
        batches = stream.batches(self.columns, rows_of)
        # The one copy of an epoch to the device.
        rates, weights = torch.tensor(self.plan, device=self.device)[skip:].unbind(1)
        with stop.holding():
            for rows, mine, piece, rate, weight in zip(batches, pieces, whole, rates, weights, strict=True):
                between()
                if self.ranks > 1:
                    torch.manual_seed(noise_of(config.seed, self.rank, self.position.step))
                self.torn = True
                batch = Drawn(rows, shares[len(mine)], self._units(piece))
                torch._foreach_add_(self.sums, list(self._stepped(batch, len(piece), rate, weight, every)))
                self.torn = False
                self.position.step += 1
                if save is not None and self.every.is_due(self.position.step):
                    save(self.checkpoint())
                stop.pause()
                if self.position.step % config.max_skipped == 0 and self._ended() == "diverged":
                    return False
        return True

    def _close_epoch(
        self,
        held_out: float,
        seconds: float,
        more: Mapping[str, float],
        on_epoch: Callable[[dict[str, Any]], None],
    ) -> None:
        """Keeps what an epoch has given."""
        train_elbo, rate, distortion = (torch.stack(self.sums[:3]) / self.sums[3]).tolist()
        self.torn = True
        for total in self.sums:
            total.zero_()
        at, lr = self.position, self.plan[-1][0]
        metrics = {
            "epoch": at.epoch + 1,
            "step": at.step,
            "train_elbo": train_elbo,
            "valid_elbo": held_out,
            "rate": rate,
            "distortion": distortion,
            "lr": lr,
            "kl_weight": self.plan[-1][1],
            "train_seconds": seconds,
            "steps": self.steps,
            **more,
        }
        if self.aggressive is not None:
            metrics |= {"inner_steps": at.inner - sum(each["inner_steps"] for each in self.metrics)}
        self.metrics.append(metrics)
        at.epoch += 1
        if held_out > at.best:
            at.best, at.best_epoch, self.best = held_out, at.epoch, snapshot(self.pair)
        self.torn = False
        on_epoch(metrics)
        if "mutual_information" in more and not lags(self.metrics):
            self.show.line(
                f"note: the guide keeps up: the mutual information on held-out data has not risen in epoch {at.epoch}, "
                f"so model and guide move together from here"
            )
        self.show.advance(ELBO=train_elbo, held_out=held_out, best=at.best, lr=lr)

    def checkpoint(self) -> Checkpoint:
        """What the next step depends on, copied to the CPU."""
        position = dataclasses.replace(
            self.position,
            seconds=self._seconds(),
            tier=self.step.engine.tier,
            device=self.device.type,
            threads=torch.get_num_threads(),
            ranks=self.ranks,
            microbatch=self.step.microbatch,
        )
        order = self.order_state if self.position.step > self.position.epoch * self.steps else self.order.get_state()
        return Checkpoint(
            position=position,
            weights=snapshot(self.pair),
            best=self.best if self.position.best_epoch else {},
            optimizer={name: tensor.to("cpu", copy=True) for name, tensor in self.optimizer.state().items()},
            generators=generators(self.device) | {"order": order},
            sums=torch.stack(self.sums).cpu(),
            metrics=list(self.metrics),
        )

    def _seconds(self) -> float:
        before = 0.0 if self.start is None else self.start.position.seconds
        return before + time.perf_counter() - self.began


def examples(columns: stream.Placed, size: int, count: int = 3) -> list[Columns]:
    """A few batches of the first rows, in their order, each shifted by one."""
    n = min(len(column) for column in columns.values())
    rows = torch.arange(size, device=next(iter(columns.values())).device)
    return [stream.take(columns, (rows + shift) % n) for shift in range(count)]


def snapshot(pair: Pair) -> State:
    """A copy of the weights, on the CPU."""
    return {name: value.to("cpu", copy=True) for name, value in weights(pair).items()}
