"""The best member of a guide's family for each datum: the guide refitted by gradient ascent, the encoder set aside."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from pyrovae.errors import PyrovaeError, first_line, is_out_of_memory, option, require_whole
from pyrovae.evaluation.chunks import LIVE, budget, bytes_of
from pyrovae.evaluation.refitting.copies import One, copied, draw_each
from pyrovae.pairs.alone import alone
from pyrovae.pairs.assumptions import require_sound
from pyrovae.pairs.modes import evaluating, unvalidated
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.traces import log_joint
from pyrovae.runtime import memory
from pyrovae.runtime.devices import precise
from pyrovae.runtime.progress import Progress, progress
from pyrovae.runtime.seeding import require_seed, seeded
from pyrovae.runtime.turns import Shared, between
from pyrovae.svi.schedule import learning_rate

PARTICLES = 8
"""Draws of z a datum and step."""

DRAWS, PARTS = 1000, 10
"""Draws of z a datum by which ELBOs are compared, and in how many parts they are made."""

TOLERANCE = 0.01
"""Nats a datum: a round that gains less is the last."""

CPU_BYTES = 2**30
"""Memory of the copies of the parameters that are refitted together on a CPU, with their gradients and moments."""

COPIES = 5
"""Tensors for each parameter: itself, its best so far, its gradient and two moments."""


class NotRefittedError(PyrovaeError):
    """A guide that is not refitted.

    Attributes:
        why: in words that a sentence ends with.
    """

    def __init__(self, why: str) -> None:
        guide = option("proposal", "guide", command="loglik")
        ais = option("method", "ais", python="ais", command="loglik")
        super().__init__(f"{why}: take the guide as it is, {guide} with more samples, or {ais}, which needs no guide")
        self.why = why


@dataclasses.dataclass
class Refitted:
    """A guide with parameters of its own for each of N data.

    Attributes:
        elbo: (N,) ELBO, nats, from `DRAWS` draws by which neither a step nor the best round was chosen.
        before: (N,) that of the guide as it was, by the same noise.
        gain: mean of what the last round gained, nats a datum.
        converged: whether that is below `TOLERANCE`, or below what the draws resolve.
        rounds: how many there were.
    """

    elbo: Tensor
    before: Tensor
    gain: float
    converged: bool
    rounds: int
    parameters: dict[str, Tensor] = dataclasses.field(repr=False)
    inputs: tuple[Tensor, ...] = dataclasses.field(repr=False)
    one: One = dataclasses.field(repr=False)

    def draw(self, rows: Tensor, K: int) -> tuple[dict[str, Tensor], Tensor]:
        """K draws of the latents of the data `rows`, (K, B, *event) each, and their log q, (K, B)."""
        rows = rows.to(self.elbo.device)
        own = {name: value[rows] for name, value in self.parameters.items()}
        with unvalidated():  # which looks at values: vmap has none to show
            return draw_each(self.one, own, self._of(rows), K)

    def _of(self, rows: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor[rows.to(tensor.device)] for tensor in self.inputs)


def refit(
    pair: Pair,
    batch: Sequence[Tensor],
    steps: int = 500,
    rounds: int = 10,
    lr: float = 5e-4,
    seed: int = 0,
    show: Progress | None = None,
) -> Refitted:
    """Ascends the ELBO of each datum over a copy of the guide's parameters that is the datum's own.

    It starts from the guide as it is, and the features that the encoder gives stay as they are where one module makes
    the distribution from them (`pyrovae.evaluation.refitting.copies`). Adam goes in rounds of
    `steps`, the learning rate falling to 0 in each, until a round gains less than `TOLERANCE`; a datum keeps its best
    round. The model, and the guide itself, stay as they are.

    Chris Cremer, Xuechen Li, David Duvenaud: Inference Suboptimality in Variational Autoencoders. ICML 2018.

    Args:
        pair: any pair whose sites all stand in the plate "data" and have reparametrized draws.
        batch: the tensors that `pair.model(*batch)` takes, N data.
        steps: of a round.
        rounds: at most.
        lr: learning rate at the start of a round.
        seed: of the noise.
        show: where progress goes.

    Raises:
        PyrovaeError: where the pair has no weight of its own for each datum, a site has no reparametrized draws, or
            `torch.func.vmap` cannot run the guide.
        UsageError: for a number of steps or rounds below 1.
    """
    require_whole(steps=steps, rounds=rounds)
    require_seed(seed)
    device = device_of(pair)
    batch = placed(pair, batch)
    noise, shown_at = seeded(seed, device), show or progress(False)
    with alone(pair), noise, unvalidated(), evaluating(pair), frozen(pair), shown_at as shown:
        structure = require_sound(pair, batch, "a guide refitted for each datum")
        if structure.score or not structure.latent:
            raise NotRefittedError(
                f"a guide is refitted by gradients, and sites {structure.score} are drawn without reparametrization"
                if structure.score
                else "the pair has no latent site, so there is no guide to refit"
            )
        shown.start("refitting the guide", total=first_dim(batch))

        def work(part: slice) -> Refitted:
            return _refit(pair, tuple(tensor[part] for tensor in batch), steps, rounds, lr, seed, shown)

        at_once = _at_once(pair, batch, device)
        parts = [part for _, part in memory.halved(first_dim(batch), at_once, work, device, shown)]
    first = parts[0]
    together = [part.parameters for part in parts]
    n = torch.tensor([len(part.elbo) for part in parts], dtype=torch.float64)
    return Refitted(
        elbo=torch.cat([part.elbo for part in parts]),
        before=torch.cat([part.before for part in parts]),
        gain=float((torch.tensor([part.gain for part in parts], dtype=torch.float64) * n).sum() / n.sum()),
        converged=all(part.converged for part in parts),
        rounds=max(part.rounds for part in parts),
        parameters={name: torch.cat([each[name] for each in together]) for name in first.parameters},
        inputs=tuple(torch.cat(each) for each in zip(*(part.inputs for part in parts), strict=True)),
        one=first.one,
    )


def _refit(
    pair: Pair, batch: tuple[Tensor, ...], steps: int, rounds: int, lr: float, seed: int, shown: Progress
) -> Refitted:
    """The same for the data that are refitted together."""
    own = copied(pair, batch)
    n, device = first_dim(batch), device_of(pair)
    start = {name: value.detach().expand(n, *value.shape) for name, value in own.parameters.items()}
    best = {name: value.clone() for name, value in start.items()}
    now = {name: value.clone().requires_grad_() for name, value in best.items()}

    def bound(parameters: Mapping[str, Tensor], K: int) -> Tensor:
        values, log_q = draw_each(own.one, parameters, own.inputs, K)
        return log_joint(pair.model, batch, values, K) - log_q  # (K, n)

    def scored(parameters: Mapping[str, Tensor], noise: int) -> Tensor:
        """Draws of the ELBO, (DRAWS, n): from the same noise at every call, so that two calls are compared in pairs."""
        with torch.no_grad(), seeded(noise, device):
            return torch.cat([bound(parameters, DRAWS // PARTS).to(precise(device)) for _ in range(PARTS)])

    best_elbo = scored(best, seed + 1)
    gain, error, used = math.inf, 0.0, 0
    while used < rounds and gain > max(TOLERANCE, 2 * error):
        used += 1
        optimizer = torch.optim.Adam(
            [{"params": [value], "rate": own.rates.get(key, 1.0)} for key, value in now.items()]
        )
        for step in range(steps):
            between()
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * learning_rate(step, steps, lr, "cosine")
            loss = -bound(now, PARTICLES).mean(0).sum()
            if not loss.requires_grad:
                raise NotRefittedError("no parameter of the guide has a part in its draws: there is nothing to refit")
            gradients = torch.autograd.grad(loss, list(now.values()), allow_unused=True, materialize_grads=True)
            for parameter, gradient in zip(now.values(), gradients, strict=True):
                parameter.grad = gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
            optimizer.step()
        after = scored(now, seed + 1)
        better = after.mean(0) > best_elbo.mean(0)
        difference = torch.where(better, after - best_elbo, 0.0).mean(1)  # of each draw, over the data
        gain, error = float(difference.mean()), float(difference.std() / math.sqrt(len(difference)))
        best_elbo = torch.where(better, after, best_elbo)
        with torch.no_grad():
            for name, value in now.items():
                take = better.reshape(-1, *[1] * (value.dim() - 1))
                best[name] = torch.where(take, value, best[name]).detach()
                value.copy_(best[name])
    # The round that these draws liked best looks better by them than it is: other draws say what was reached.
    elbo, before = (scored(parameters, seed + 2).mean(0) for parameters in (best, start))
    shown.advance(n, ELBO=float(elbo.mean()), gain=gain)
    converged = gain <= max(TOLERANCE, 2 * error)
    return Refitted(elbo, before, gain, converged, used, best, own.inputs, own.one)


@final
class frozen(Shared):  # noqa: N801  a context, named as one reads it
    """No gradient reaches the parameters of the pair inside."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def put(self) -> None:
        self.found = [(parameter, parameter.requires_grad) for parameter in self.pair.parameters()]
        for parameter, _ in self.found:
            parameter.requires_grad_(False)

    def back(self) -> None:
        for parameter, required in self.found:
            parameter.requires_grad_(required)


def _at_once(pair: Pair, batch: Sequence[Tensor], device: torch.device) -> int:
    """How many data are refitted together."""
    one = tuple(tensor[:1] for tensor in batch)
    own = copied(pair, one)
    if not own.parameters:
        raise NotRefittedError("the guide has no parameters, so there is nothing to refit")
    stacked = {name: value.detach().unsqueeze(0) for name, value in own.parameters.items()}

    def step() -> Tensor:
        with torch.no_grad():
            values, log_q = draw_each(own.one, stacked, own.inputs, DRAWS // PARTS)  # more at once than in a step
            return log_joint(pair.model, one, values, DRAWS // PARTS) - log_q

    bytes_of_one = COPIES * sum(value.numel() * value.element_size() for value in stacked.values())
    try:
        bytes_of_one += LIVE * bytes_of(step)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        why = "torch.func.vmap has no rule for its gradient" if "setup_context" in str(error) else first_line(error)
        raise NotRefittedError(
            f"torch cannot draw from this guide with parameters for each datum ({why}), so it is not refitted"
        ) from error
    return max(1, budget(device, most=CPU_BYTES) // max(bytes_of_one, 1))
