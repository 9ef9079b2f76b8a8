"""Importance weights of many data, in pieces that fit the memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.evaluation.chunks import Piece, Shrinking, bytes_of, pieces
from pyrovae.evaluation.importance.running import Weights
from pyrovae.evaluation.refitting.refit import Refitted
from pyrovae.lowering import Engine, lower
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of
from pyrovae.pairs.traces import Program, log_joint, log_weights
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress

LOWERED_TOLERANCE = 1e-5
"""Relative difference between compiled and eager weights, at most."""


class Sampler:
    """Draws weights p(x, z) / q(z | x) of the data of a batch, in the fastest tier that is worth it.

    Args:
        pair: p, on whose device the batch is.
        batch: N data.
        proposal: q, a program in the place of the guide, or the guide refitted for these data.
        samples: how many of each datum will be drawn, at first.
        chunk: samples at once; None fits them to the memory.
        lengths: (N,) of sentences: those of similar length are scored together.
        compile: see `pyrovae.lowering.lower`.
        show: where progress goes.

    Attributes:
        engine: how weights of the shape that most draws have are computed.
        at_once: samples of each datum in such a draw.
    """

    def __init__(
        self,
        pair: Pair,
        batch: Sequence[Tensor],
        proposal: Program | Refitted,
        samples: int,
        chunk: int | None,
        lengths: Tensor | None,
        compile: bool | None,
        show: Progress,
    ) -> None:
        self.pair, self.batch, self.proposal, self.lengths = pair, batch, proposal, lengths
        self.chunk, self.show, self.device = chunk, show, device_of(pair)
        longest = 0 if lengths is None else int(lengths.argmax())
        one = [tensor[longest : longest + 1] for tensor in batch]
        self.bytes_of_one = bytes_of(lambda: log_weights(pair, one, 1))
        self.shrinking = Shrinking(self.device, show)
        while True:
            cut = self._cut(torch.arange(first_dim(batch)), samples)
            self.at_once = min(samples, cut[0].samples)
            try:
                with memory.tried(self.device):
                    self.engine = self._lowered(cut, samples, compile)
                return
            except memory.NoMemoryError as error:
                self.shrinking.smaller(len(cut[0].rows) * self.at_once, error)

    def _lowered(self, cut: list[Piece], samples: int, compile: bool | None) -> Engine:
        if isinstance(self.proposal, Refitted):
            return Engine(self.proposal.draw, "eager")
        call = functools.partial(log_weights, self.pair, K=self.at_once, guide=self.proposal)
        engine = Engine(call, "eager")
        if self.lengths is not None:
            engine.reason = "sentences differ in length from piece to piece" if compile else ""
        else:
            alike = [piece.rows for piece in cut[:3] if len(piece.rows) == len(cut[0].rows)]
            examples = [([tensor[rows] for tensor in self.batch],) for rows in alike]
            calls = len(cut) * math.ceil(samples / self.at_once)
            engine = lower(self.pair, call, examples, calls, compile, self.show, LOWERED_TOLERANCE)
        if told := engine.note("the log-likelihood"):
            self.show.line(told)
        return engine

    def collected(self, most: int) -> Weights:
        """Empty sums over at most so many weights of each datum."""
        return Weights(first_dim(self.batch), most, torch.zeros((), dtype=precise(self.device), device=self.device))

    def draw(self, into: Weights, rows: Tensor, count: int, name: str) -> None:
        """`count` more weights of each of the data `rows`; `name` is shown."""
        self.show.start(name, total=len(rows))
        done, total, variance = 0, 0.0, 0.0
        for part in self.shrinking.over(self._cut(rows, count), count):
            with self.shrinking.tried(part):
                into.add(part.rows, self._weights(part.rows, part.samples))
            if part.left or not part.done:
                continue
            done += len(part.rows)
            total += into.mean(part.rows).sum().item()
            variance += into.squared_error(part.rows).sum().item()
            self.show.advance(len(part.rows), log_likelihood=total / done, standard_error=math.sqrt(variance) / done)

    def _cut(self, rows: Tensor, count: int) -> list[Piece]:
        lengths = None if self.lengths is None else self.lengths[rows.cpu()]
        cut, found = pieces(self.bytes_of_one, len(rows), count, self.device, lengths), list[Piece]()
        for at, k in cut:
            piece = Piece(rows[at], self.chunk or k)
            while len(piece.rows):
                first = self.shrinking.fit(piece, count)
                found.append(first)
                piece = Piece(piece.rows[len(first.rows) :], piece.samples)
        return found

    def _weights(self, rows: Tensor, K: int) -> Tensor:
        """(K, B) of the data `rows`, by K new draws."""
        part = [tensor[rows] for tensor in self.batch]
        if isinstance(self.proposal, Refitted):
            values, log_q = self.proposal.draw(rows, K)
            weights = log_joint(self.pair.model, part, values, K) - log_q
        elif self.at_once == K:
            weights = self.engine.call(part)
        else:
            weights = log_weights(self.pair, part, K, guide=self.proposal)
        return weights.to(precise(self.device))
