"""Training: epochs of SVI steps, the held-out ELBO after each, best and last weights."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import torch

from pyrovae.data.dataset import Dataset
from pyrovae.errors import PyrovaeError, option
from pyrovae.lowering import Engine
from pyrovae.objectives.choose import objective
from pyrovae.options import TrainConfig
from pyrovae.pairs.pair import Pair
from pyrovae.pairs.parameters import apart
from pyrovae.runs.checkpoint import Checkpoint
from pyrovae.runs.tensors import State
from pyrovae.runs.texts import Metrics
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.ranks import from_first, noise_of
from pyrovae.runtime.signals import Stop, stoppable
from pyrovae.runtime.threads import Crowded
from pyrovae.runtime.turns import between
from pyrovae.svi import Optimizer, Step, not_additive
from pyrovae.svi.aggressive import Aggressive, lags
from pyrovae.svi.culprit import culprit
from pyrovae.svi.precision import note, require_precision
from pyrovae.training.feed import Feed
from pyrovae.training.heldout import HeldOut
from pyrovae.training.journal import Every
from pyrovae.training.listener import unheard
from pyrovae.training.state import TrainState, snapshot

Save = Callable[[Callable[[], Checkpoint]], None]
"""What writes a checkpoint, or does not ask for it."""


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
    on_epoch: Callable[[Metrics], None] = lambda metrics: None,
    save: Save = lambda now: None,
    *,
    frozen_model: bool = False,
    start: Checkpoint | None = None,
    tell: Callable[[Metrics, Callable[[], None]], None] = unheard,
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
        save: called with what gives a checkpoint, as often as `config.checkpoint_every` says and where training ends.
        frozen_model: the model stays in eval mode: without dropout, and with the moments that its norms have kept, it
            is the p(x, z) by which guides are scored.
        start: a checkpoint from which training goes on; on a CPU with as many threads, bit for bit.
        tell: called with the metrics of each epoch after `on_epoch`, and with what saves where the fit stands.

    Raises:
        PyrovaeError: where the pair cannot be trained by the ELBO, or never gets a finite held-out ELBO.
        UsageError: where the batch is larger than the data.
    """
    fit = _Fit(pair, data, config, device, show, frozen_model, start)
    feed, state, step, aggressive = fit.feed, fit.state, fit.step, fit.aggressive
    every, stopped = Every.parse(config.checkpoint_every), ""

    def heard(metrics: Metrics) -> None:
        on_epoch(metrics)
        tell(metrics, lambda: save(state.checkpoint))

    with stoppable() as stop:
        try:
            stopped = fit.begin()
            at = state.position
            while not stopped:
                begun, whole = time.perf_counter(), True
                with stop.holding():
                    for turn in feed.epoch(at.epoch, at.step - at.epoch * feed.steps):
                        between()
                        if feed.ranks > 1:
                            torch.manual_seed(noise_of(config.seed, feed.rank, at.step))
                        state.torn = True
                        batch, total, lr, weight = turn
                        if aggressive is not None and lags(state.metrics):
                            figures, count = aggressive(batch, feed.at_random(at.step), lr, weight)
                            at.inner += count
                        else:
                            figures = step(batch.rows, lr, weight, batch.fraction, total)
                        torch._foreach_add_(state.sums, list(figures))
                        state.torn = False
                        at.step += 1
                        if told := fit.crowded():
                            show.line(told)
                        if every.is_due(at.step):
                            save(state.checkpoint)
                        stop.pause()
                        if at.step % config.max_skipped == 0 and fit.ended() == "diverged":
                            whole = False
                            break
                if whole:
                    fit.close_epoch(time.perf_counter() - begun, stop, heard)
                stopped = fit.ended()
        except KeyboardInterrupt:
            if feed.ranks > 1:  # which do not stop at the same step: the last checkpoint is what stays
                raise
            stopped = "interrupted"
        finally:
            show.close()
            feed.close()
        return fit.end(stopped, save)


class _Fit:
    """What a fit is made of, and what it does around its steps."""

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
        self.pair, self.config, self.device, self.show = pair, config, device, show
        self.frozen_model = frozen_model
        self.feed = Feed(pair, data, config, device)
        first = self.feed.batch_of(self.feed.first(2))
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
            return Step(aim, optimizer, self.feed.batch_of, config.precision, config.microbatch, show)

        self.step = step_of(self.optimizer)
        self.aggressive: Aggressive | None = None
        steps = [self.step]
        if config.aggressive:
            self.held_out.require_information()
            self.aggressive = Aggressive(pair, self.optimizer, step_of, config.aggressive)
            steps += [self.aggressive.guide, self.aggressive.model]
        self.crowded = Crowded(torch.get_num_threads() if device.type == "cpu" else 1)
        self.state = TrainState(pair, self.optimizer, self.feed, steps, device, start)

    def begin(self) -> str:
        """Puts everything where it stood at the checkpoint, and lowers the steps; gives why training ends already."""
        self.pair.train()
        if self.frozen_model:
            self.pair.model.eval()
        if told := note(self.config.precision, self.device):
            self.show.line(f"note: {told}")
        for told in not_additive(self.step.objective) if self.feed.ranks > 1 or self.config.microbatch else ():
            self.show.line(f"note: {told}")
        from_first(self.pair)
        self.state.restore()
        if not (stopped := self.ended()):
            self._lower()
        else:
            self.step.engine.tier = self.state.position.tier
        self.show.start("epoch", total=self.feed.epochs)
        if self.state.position.epoch:
            self.show.advance(self.state.position.epoch)
        return stopped

    def _lower(self) -> None:
        feed, config = self.feed, self.config
        if feed.lengths is None:
            examples = feed.examples()
            engine = self.step.lower(examples, feed.steps * feed.epochs, config.compile, self.show)
            if self.aggressive is not None and lags(self.state.metrics):
                self.aggressive.lower(examples, feed.steps, config.compile)
        else:
            self.step.plan(feed.first(feed.size))
            engine = Engine(self.step.gradients, "eager", "sentences differ in length from batch to batch")
        if told := engine.note("training"):
            self.show.line(told)

    def ended(self) -> str:
        """Why training ends here; empty where it goes on."""
        at, config = self.state.position, self.config
        if self.optimizer.longest.item() >= config.max_skipped:
            return "diverged"
        if config.patience and at.epoch - at.best_epoch >= config.patience:
            return "patience"
        return "done" if at.epoch >= self.feed.epochs else ""

    def close_epoch(self, seconds: float, stop: Stop, on_epoch: Callable[[Metrics], None]) -> None:
        """Scores the held-out data, and keeps what the epoch has given."""
        held_out, more = self.held_out.scores(), self.held_out.accuracy()
        if self.aggressive is not None and lags(self.state.metrics):
            more |= self.held_out.information()
        with stop.holding():
            metrics = self.state.close_epoch(held_out, seconds, more, self.aggressive is not None)
            on_epoch(metrics)
            if "mutual_information" in more and not lags(self.state.metrics):
                self.show.line(
                    f"note: the guide keeps up: the mutual information on held-out data has not risen in epoch "
                    f"{metrics['epoch']}, so model and guide move together from here"
                )
            self.show.advance(
                ELBO=metrics["train_elbo"], held_out=held_out["elbo"], best=self.state.position.best, lr=metrics["lr"]
            )

    def end(self, stopped: str, save: Save) -> Trained:
        """The last checkpoint, and what training leaves behind.

        Raises:
            PyrovaeError: where there was never a finite held-out ELBO.
        """
        state, skipped, at = self.state, int(self.optimizer.skipped.item()), self.state.position
        never = not at.best_epoch and (state.metrics or skipped >= at.step + at.inner)
        if never and stopped != "interrupted":
            raise PyrovaeError(
                f"training never reached a finite held-out ELBO ({skipped} of {at.step + at.inner} steps were skipped, "
                f"because loss or gradients were not finite): {self._culprit()}; "
                f"look at the data, or lower {option('lr')}"
            )
        if not state.torn and at.step:
            save(state.checkpoint)
        last = snapshot(self.pair)
        return Trained(
            best=state.best if at.best_epoch else copy.copy(last),
            last=last,
            metrics=state.metrics,
            best_epoch=at.best_epoch,
            stopped=stopped,
            steps=at.step,
            inner=at.inner,
            skipped=skipped,
            seconds=state.seconds(),
            engine=self.step.engine,
            why=self._culprit() if stopped == "diverged" else "",
        )

    def _culprit(self) -> str:
        """What is not finite, in words."""
        return culprit(self.pair, self.feed.in_order, self.step)
