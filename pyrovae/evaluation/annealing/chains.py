"""Chains that are annealed along the path from the prior or the guide to the posterior."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, interpolate

from pyrovae.errors import PyrovaeError, UsageError, did_you_mean, option, require_whole
from pyrovae.estimators import Start
from pyrovae.evaluation.annealing.bridge import Bridge, temperatures
from pyrovae.evaluation.annealing.hmc import Point, evaluate, leap, move
from pyrovae.evaluation.chunks import LIVE, Piece, bytes_of, even, pieces
from pyrovae.lowering import Engine, lower
from pyrovae.lowering.nested import Nested
from pyrovae.pairs.assumptions import require_sound
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import Structure
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress
from pyrovae.runtime.seeding import seeded
from pyrovae.runtime.turns import between

T = TypeVar("T")

ACCEPTANCE = 0.65
"""What step sizes are adapted to."""

FIRST_STEP, WARM = 0.1, 25
"""The pilot's first step size, and its moves before its temperature rises."""

GAIN = 0.5
"""By how much the pilot changes a log step size for one move, times the acceptance that it is off."""

PILOT, SHARE, SMOOTH = 50, 10, 9
"""Temperatures of the pilot: one for `SHARE` of the chains' own, at least `PILOT`; step sizes are averaged over
`SMOOTH` of them."""

LOWERED_TOLERANCE = 1e-4
"""Relative difference between compiled and eager densities and gradients, at most."""


class Annealing:
    """Chains that are annealed on the data of a batch, piece by piece, by HMC with step sizes of a pilot run.

    A weight is unbiased only where the moves do not depend on what the chain has seen. So step sizes are adapted to
    `ACCEPTANCE` in a pilot run for each datum and temperature, whose chains are thrown away, and fixed then.

    Args:
        pair: see `Bridge`.
        batch: N data, on the device of the pair.
        steps: temperatures between 0 and 1, with one HMC move at each.
        chains: of each datum.
        leapfrog: steps of a move.
        start: see `Bridge`.
        runs: how often all chains go the path, beside the pilot.
        show: where progress goes.
        lengths: (N,) of sentences: those of similar length run together.
        compile: see `pyrovae.lowering.lower`.
        what: what it is called in notes.

    Raises:
        PyrovaeError: where HMC cannot move its latents; the rest is refused by `require_annealable` before.
    """

    def __init__(
        self,
        pair: Pair,
        batch: Sequence[Tensor],
        steps: int,
        chains: int,
        leapfrog: int,
        start: Start,
        runs: int,
        show: Progress,
        lengths: Tensor | None,
        compile: bool | None,
        what: str,
    ) -> None:
        self.pair, self.batch, self.leapfrog, self.steps, self.chains = pair, batch, leapfrog, steps, chains
        self.show, self.compile, self.sentences, self.what = show, compile, lengths is not None, what
        self.device, n = device_of(pair), first_dim(batch)
        longest = 0 if lengths is None else int(lengths.argmax())
        with seeded(0, self.device):
            self.bridge = Bridge(pair, [tensor[:2] for tensor in batch], start)
            one = [tensor[longest : longest + 1] for tensor in batch]
            u = self.bridge.drawn(1, one)
            size = bytes_of_gradient(pair, lambda: self._evaluate(u, one))
            cut = pieces(size, n, chains, self.device, lengths)
        # Pieces of one size run through one graph.
        alike = torch.arange(n).split(even(n, len(cut[0].rows)))
        self.cut = cut if self.sentences else [Piece(rows, cut[0].samples) for rows in alike]
        self.pilot_steps = max(PILOT, steps // SHARE)
        self.calls: Counter[tuple[int, int]] = Counter()
        for piece in self.cut:
            for index, k in enumerate(self.parts(piece)):
                moves = runs * steps + (0 if index else WARM + self.pilot_steps)
                self.calls[k, len(piece.rows)] += moves * leapfrog
        self.engines: dict[tuple[int, int], Engine] = {}
        self.b = self._ladder(steps)
        parts = sum(len(self.parts(piece)) for piece in self.cut)
        # One more for each piece: its figures.
        show.start(what, total=len(self.cut) * (WARM + self.pilot_steps + 1) + parts * runs * steps)

    @property
    def lowering_seconds(self) -> float:
        """What tracing and compiling took."""
        return sum(engine.seconds for engine in self.engines.values())

    def parts(self, piece: Piece) -> list[int]:
        """How many chains go at once, until all have."""
        return [min(piece.samples, self.chains - start) for start in range(0, self.chains, piece.samples)]

    def over(self, work: Callable[[Piece, list[Tensor]], T]) -> Iterator[tuple[Piece, T]]:
        """The pieces, each with what `work` gives of it and its data; where memory runs out they get smaller, first in
        their data, then in the chains that go at once."""
        todo, most, k, told = list(reversed(self.cut)), len(self.batch[0]), self.chains, False
        while todo:
            rows, samples = todo.pop()
            if len(rows) > most:
                todo.append(Piece(rows[most:], samples))
            piece = Piece(rows[:most], min(samples, k))
            part = [tensor[piece.rows] for tensor in self.batch]
            try:
                with memory.tried(self.device):
                    found = work(piece, part)
            except memory.NoMemoryError as error:
                told = told or memory.tell(self.show, len(piece.rows) * piece.samples, "chains")
                if len(piece.rows) > 1:
                    most = memory.half(len(piece.rows), error)
                else:
                    k = memory.half(piece.samples, error, "chain of one datum")
                todo.append(piece)
                continue
            yield piece, found

    def forward(self, piece: Piece, part: Sequence[Tensor], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Log weights (chains, B) of chains from temperature 0 to 1, whose mean of exp is p(x) in expectation, and
        the acceptance (B,)."""
        return self._run([self.bridge.drawn(k, part) for k in self.parts(piece)], part, self.b, sizes)

    def reverse(
        self, piece: Piece, part: Sequence[Tensor], sizes: Tensor, values: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The same from 1 to 0, from latents that are exact draws of the posterior: 1 / p(x) in expectation."""
        starts = [self.bridge.at(values, k, part) for k in self.parts(piece)]
        return self._run(starts, part, self.b.flip(0), sizes.flip(0))

    def _run(self, starts: list[Tensor], part: Sequence[Tensor], b: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        weights, accepted = [], torch.zeros(first_dim(part), dtype=b.dtype, device=b.device)
        for u in starts:
            point = self._evaluate(u, part)
            weight = torch.zeros(u.shape[:-1], dtype=b.dtype, device=b.device)
            for t in range(len(b) - 1):
                weight += (b[t + 1] - b[t]) * self.bridge.slope(point).to(b.dtype)
                if t < len(sizes):
                    point, taken = self._move(point, sizes[t], b[t + 1], part)
                    accepted += taken.sum(0)
            weights.append(weight)
        return torch.cat(weights), accepted / (self.chains * len(sizes))

    def pilot(self, piece: Piece, part: Sequence[Tensor]) -> Tensor:
        """Step sizes (steps, B): adapted along a coarser ladder by chains of their own, smoothed and interpolated."""
        point = self._evaluate(self.bridge.drawn(self.parts(piece)[0], part), part)
        log_size = point.u.new_full((first_dim(part),), math.log(FIRST_STEP))
        b, found = self._ladder(self.pilot_steps), []
        for t in (*[1] * WARM, *range(1, self.pilot_steps + 1)):
            point, taken = self._move(point, log_size.exp(), b[t], part)
            log_size = log_size + GAIN * (taken.mean(0) - ACCEPTANCE)
            found.append(log_size)
        ladder = torch.stack(found[WARM:], -1).unsqueeze(0)  # (1, B, pilot_steps)
        smooth = avg_pool1d(ladder, SMOOTH, stride=1, padding=SMOOTH // 2, count_include_pad=False)
        return interpolate(smooth, self.steps, mode="linear").squeeze(0).T.exp()

    def _ladder(self, steps: int) -> Tensor:
        return temperatures(steps).to(precise(self.device)).to(self.device)

    def _evaluate(self, u: Tensor, part: Sequence[Tensor]) -> Point:
        with backward_in_eval(self.pair, self.device):
            return evaluate(lambda u: self.bridge.densities(u, *part), u)

    def _move(self, point: Point, size: Tensor, b: Tensor, part: Sequence[Tensor]) -> tuple[Point, Tensor]:
        between()
        call = self._engine(point, part).call
        a, b = (share.to(point.u.dtype) for share in (self.bridge.first_share(b), b))
        moved = move(point, lambda *given: call(*given, *part), size, a, b, self.leapfrog)
        self.show.advance()
        return moved

    def _leap(
        self, point: Point, momentum: Tensor, size: Tensor, a: Tensor, b: Tensor, *part: Tensor
    ) -> tuple[Point, Tensor]:
        with backward_in_eval(self.pair, self.device):
            return leap(lambda u: self.bridge.densities(u, *part), point, momentum, size, a, b)

    def _engine(self, point: Point, part: Sequence[Tensor]) -> Engine:
        """A leapfrog step for points of this shape, in the tier that is worth it."""
        shape = (len(point.u), first_dim(part))
        if shape not in self.engines:
            if self.sentences:
                reason = "sentences differ in length from piece to piece" if self.compile else ""
                engine = Engine(self._leap, "eager", reason)
            else:
                examples = [self._example(seed, shape[0], part) for seed in range(3)]
                engine = lower(
                    self.pair, self._leap, examples, self.calls[shape], self.compile, tolerance=LOWERED_TOLERANCE
                )
            if not self.engines and (told := engine.note(self.what)):
                self.show.line(told)
            self.engines[shape] = engine
        return self.engines[shape]

    def _example(self, seed: int, chains: int, part: Sequence[Tensor]) -> tuple[Nested, ...]:
        with seeded(seed, self.device):
            point = self._evaluate(self.bridge.drawn(chains, part), part)
            b = torch.rand((), dtype=point.u.dtype, device=self.device)
            size = torch.full_like(point.u[..., :1], FIRST_STEP / 10)
            return (point, torch.randn_like(point.u), size, self.bridge.first_share(b), b, *part)


def bytes_of_gradient(pair: nn.Module, one_sample: Callable[[], object]) -> int:
    """What `pieces` is told of a computation that takes gradients: its largest tensor, or the share of one of `LIVE`
    in all that is kept for the way back, which grows with the depth of a network."""
    sizes: list[int] = []
    kept = memory.kept_for_backward((*pair.parameters(), *pair.buffers()), lambda: sizes.append(bytes_of(one_sample)))
    return max(sizes[0], kept // LIVE)


def backward_in_eval(pair: nn.Module, device: torch.device) -> AbstractContextManager[None]:
    """On a GPU, cuDNN takes no gradients of a recurrent network in eval mode; torch's own kernels do."""
    recurrent = device.type == "cuda" and any(isinstance(part, nn.RNNBase) for part in pair.modules())
    return torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()


def require_annealable(
    pair: Pair, batch: Sequence[Tensor], steps: int, chains: int, leapfrog: int, start: str, what: str
) -> Structure:
    """Refuses numbers, data and pairs that cannot be annealed, before anything is computed.

    Raises:
        UsageError: for a number below 1, or another start.
        PyrovaeError: for no data, a pair without a weight for each datum, and a pair without latents.
    """
    require_whole(steps=steps, chains=chains, leapfrog=leapfrog)
    if start not in get_args(Start):
        raise UsageError(f"start = '{start}' is no start of the chains{did_you_mean(start, get_args(Start))}")
    if first_dim(batch) == 0:
        raise PyrovaeError(f"{what} of no data is not defined: give at least one datum")
    with seeded(0, device_of(pair)):
        found = require_sound(pair, placed(pair, batch), what)
    if not found.latent:
        exact = option("method", "is", python="log_likelihood", command="loglik")
        raise PyrovaeError(f"the pair has no latents, and its log-likelihood is exact: take {exact}")
    return found
