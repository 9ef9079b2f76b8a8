"""Where the gap between ELBO and log-likelihood comes from: the family of the guide, or its amortization."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor

from pyrovae.errors import PyrovaeError, UsageError, option, require_whole
from pyrovae.estimators import GAPS
from pyrovae.evaluation import assumed
from pyrovae.evaluation.annealing.ais import AIS, ais
from pyrovae.evaluation.annealing.unconstrained import NotAnnealedError
from pyrovae.evaluation.importance.estimate import LogLikelihood, log_likelihood
from pyrovae.evaluation.refitting.refit import TOLERANCE, NotRefittedError, Refitted, refit
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import placed
from pyrovae.pairs.structure import structure
from pyrovae.runtime.notebook import Lines, Shown, nats
from pyrovae.runtime.progress import Progress
from pyrovae.storage.jsonable import Json

T = TypeVar("T", bound=Hashable)


@dataclasses.dataclass(frozen=True, repr=False)
class Gap(Shown):
    """ELBOs and log-likelihood of N data, in nats.

    Attributes:
        log_likelihood: (N,) log p(x), by the estimator whose mean is surely the highest (two standard errors below it):
            each is a lower bound in expectation, and one that is only noisier must not win.
        method: which it was: `is` (importance sampling from the guide), `refit` (from the refitted guide) or `ais`.
        found: what each of them found.
        standard_error: (N,) Monte Carlo error of `log_likelihood`.
        best: (N,) ELBO of the best member of the guide's family for each datum.
        elbo: (N,) ELBO of the guide as it is.
        gain: nats a datum that the last round of refitting gained.
        converged: whether that is small enough to call `best` the best.
        seconds: how long it took.
        broken: what the pair does that all of these assume it does not, each in a sentence
            (`pyrovae.evaluation.assumed`): no number shows it.
    """

    log_likelihood: Tensor
    method: str
    found: dict[str, LogLikelihood | AIS]
    standard_error: Tensor
    best: Tensor
    elbo: Tensor
    gain: float
    converged: bool
    seconds: float
    broken: tuple[str, ...] = ()

    @property
    def by_method(self) -> dict[str, float]:
        """Mean log p(x) by each method."""
        return {name: each.log_likelihood.mean().item() for name, each in self.found.items()}

    @property
    def approximation(self) -> Tensor:
        """(N,) log p(x) - best ELBO: what the family cannot express."""
        return self.log_likelihood - self.best

    @property
    def amortization(self) -> Tensor:
        """(N,) best ELBO - ELBO: what one encoder for all data loses."""
        return self.best - self.elbo

    @property
    def inference(self) -> Tensor:
        """(N,) log p(x) - ELBO: the sum of both."""
        return self.log_likelihood - self.elbo

    def verdict(self) -> str:
        """What the gaps say, in one sentence."""
        if against := assumed.verdict(self.broken):
            return f"none of these numbers {against.replace('is not', 'is', 1)}"
        approximation, amortization = self.approximation.mean().item(), self.amortization.mean().item()
        if not math.isfinite(approximation + amortization):
            lost = int((~(self.approximation + self.amortization).isfinite()).sum())
            return f"{lost} of {len(self.elbo)} data have no finite ELBO or log p(x), so the means say nothing"
        if not self.converged:
            return (
                f"refitting has not converged (its last round gained {self.gain:.3f} nats, more than {TOLERANCE}): the "
                f"amortization gap is larger than printed, and the approximation gap smaller"
            )
        if max(approximation, amortization) < 0.1:
            return "the guide is close to the true posterior: there is little to gain"
        if approximation > amortization:
            return "most of the gap is the family's: take a richer guide (`pyrovae guides`)"
        return "most of the gap is the encoder's: take a wider or deeper one, or train the guide longer"

    def lines(self) -> Lines:
        """log p(x) with its Monte Carlo error, ELBO and both gaps, and what they say."""
        approximation, amortization, elbo = self.approximation.mean(), self.amortization.mean(), self.elbo.mean()
        error = self.standard_error.square().sum().sqrt().item() / len(self.elbo)
        log_p = f"{nats(self.log_likelihood.mean().item(), error)} by {self.method} ({len(self.elbo)} data)"
        parts = f"ELBO {elbo:.3f}, approximation gap {approximation:.3f}, amortization gap {amortization:.3f}"
        return [("log p(x)", log_p), ("", f"{parts}: {self.verdict()}")]

    def summary(self) -> Json:
        """Means over the data with the standard errors of these means, for print and JSON."""
        n = len(self.elbo)
        found: dict[str, Any] = {}
        for name in ("log_likelihood", "best", "elbo", "approximation", "amortization", "inference"):
            value: Tensor = getattr(self, name)
            error = value.std().item() / math.sqrt(n) if n > 1 else None
            found[name] = {"mean": value.mean().item(), "standard_error": error}
        return found | {
            "method": self.method,
            "by_method": self.by_method,
            "monte_carlo_error": self.standard_error.square().sum().sqrt().item() / n,
            "gain": self.gain,
            "converged": self.converged,
            **assumed.trust(self.broken),
            "verdict": self.verdict(),
            "num_data": n,
            "seconds": self.seconds,
        }


def gap(
    pair: Pair,
    batch: Sequence[Tensor],
    samples: int = GAPS.samples,
    ais_steps: int = GAPS.ais_steps,
    chains: int = GAPS.chains,
    seed: int = 0,
    show: Progress | None = None,
    lengths: Tensor | None = None,
    refitted: Refitted | None = None,
    annealed: AIS | None = None,
) -> Gap:
    """Takes the inference gap apart: log p(x) - ELBO = approximation gap + amortization gap.

    The best member of the family is the guide refitted for each datum (`pyrovae.evaluation.refit`). log p(x) is the
    `surest` of three lower bounds: importance sampling from the guide, from the refitted guide, and annealed importance
    sampling. What all of them miss is missing in the approximation gap.

    Chris Cremer, Xuechen Li, David Duvenaud: Inference Suboptimality in Variational Autoencoders. ICML 2018.

    Args:
        pair: any pair whose sites all stand in the plate "data" and have reparametrized draws.
        batch: the tensors that `pair.model(*batch)` takes, N data.
        samples: K of both importance estimates.
        ais_steps: temperatures of annealed importance sampling; 0 leaves it out.
        chains: of annealed importance sampling.
        seed: of the noise.
        show: where progress goes.
        lengths: (N,) of sentences.
        refitted: the guide refitted for these data, where that is done already.
        annealed: what annealed importance sampling found for these data under this model, where that is known: from
            the prior it is the same with every guide.

    Raises:
        PyrovaeError: where the pair has no weight of its own for each datum, or cannot be refitted.
        UsageError: for numbers below 1, or what is known of another number of data.
    """
    require_whole(samples=samples, chains=chains)
    require_whole(0, ais_steps=ais_steps)
    started = time.perf_counter()
    n = first_dim(batch)
    known = {"a guide refitted": None if refitted is None else len(refitted.elbo)}
    known["annealing"] = None if annealed is None else len(annealed.ess)
    for what, count in known.items():
        if count not in (None, n):
            raise UsageError(f"{what} for {count} data was given with {n} data: give the same data")
    refitted = refitted or _refitted(pair, batch, seed, show)
    batch = placed(pair, batch)
    with scoring(pair, seed):
        found = structure(pair, [tensor[:2] for tensor in batch])
    told = assumed.tried(pair, batch, found, seed)
    of_is = functools.partial(log_likelihood, pair, batch, samples, None, seed, show, lengths, broken=told)
    estimates: dict[str, LogLikelihood | AIS] = {"is": of_is(), "refit": of_is(proposal=refitted)}
    if annealed is not None:
        estimates["ais"] = annealed
    elif ais_steps:
        estimates["ais"] = _annealed(pair, batch, ais_steps, chains, seed, show, lengths, told)
    method = surest({name: (each.log_likelihood, each.standard_error) for name, each in estimates.items()})
    return Gap(
        log_likelihood=estimates[method].log_likelihood.double(),
        method=method,
        found=estimates,
        standard_error=estimates[method].standard_error.double(),
        best=refitted.elbo.cpu().double(),
        elbo=refitted.before.cpu().double(),
        gain=refitted.gain,
        converged=refitted.converged,
        seconds=time.perf_counter() - started,
        broken=tuple(dict.fromkeys(each for found in estimates.values() for each in found.broken)),
    )


def _refitted(pair: Pair, batch: Sequence[Tensor], seed: int, show: Progress | None) -> Refitted:
    try:
        return refit(pair, batch, seed=seed, show=show)
    except NotRefittedError as error:
        raise PyrovaeError(
            f"the gap is taken apart by the guide refitted for each datum, and {error.why}: "
            f"`pyrovae evaluate` has ELBO and log-likelihood, whose difference is the whole gap"
        ) from error


def _annealed(
    pair: Pair,
    batch: Sequence[Tensor],
    steps: int,
    chains: int,
    seed: int,
    show: Progress | None,
    lengths: Tensor | None,
    broken: Sequence[str],
) -> AIS:
    try:
        return ais(pair, batch, steps, chains, seed=seed, show=show, lengths=lengths, broken=broken)
    except NotAnnealedError as error:
        raise PyrovaeError(f"{error.why}; leave annealing out, {option('ais_steps', 0)}") from error


def surest(found: Mapping[T, tuple[Tensor, Tensor]]) -> T:
    """Of estimates of log p(x) with their standard errors, (N,) each, the one whose mean is surely the highest: two
    standard errors below it, so that one that is only noisier does not win.

    One whose error is not known wins only where none is known, by its mean; one that is not finite only where all are.
    """

    def rank(name: T) -> tuple[bool, bool, float]:
        value, error = (each.double() for each in found[name])
        mean, off = value.mean().item(), error.square().sum().sqrt().item() / len(error)
        known = math.isfinite(off)
        return math.isfinite(mean), known, mean - 2 * off if known else mean if math.isfinite(mean) else -math.inf

    return max(found, key=rank)
