"""What comes of a case: whether it is trusted, and how far it is off."""

import dataclasses
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pyro

from pyrovae import PyrovaeError, evaluation
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.traces import log_weights

from .case import Case, unseen

OFF = 0.02
"""Nats that a trusted mean may be off beside 5 standard errors."""

DRAWS = 256
"""Of an ELBO, a datum."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What came of a case.

    Attributes:
        trusted: as the verdict says; None where it cannot be judged.
        off: of the mean, nats.
        allowed: 5 standard errors and `OFF`.
        unseen: nats by which it may lie too low without that a weight shows it (`case.unseen`).
        said: the verdict, or why it was refused.
    """

    kind: str
    seed: int
    method: str
    sound: bool
    trusted: bool | None
    off: float
    allowed: float
    said: str
    about: str
    blind: str = ""
    unseen: float = 0.0

    @property
    def beyond(self) -> bool:
        """Whether it is trusted and off."""
        return bool(self.trusted) and not abs(self.off) <= self.allowed

    @property
    def wrong(self) -> bool:
        """The same, by more than what no weight can show."""
        return self.beyond and not self.blind and not -self.allowed - self.unseen <= self.off <= self.allowed


def by_importance(case: Case, kind: str, seed: int) -> Found:
    """The log-likelihood by importance samples."""
    how = random.Random(f"how {kind} {seed}")
    samples = case.samples or how.choice([100, 300, 1000, 1000, 3000])
    chunk = how.choice([None, None, max(7, samples // 9)])
    proposal = "widened" if case.widen and case.samples is None and how.random() < 0.2 else "guide"
    wider = how.choice([1.2, 1.5])
    found = evaluation.log_likelihood(
        case.pair, case.batch, samples, chunk, seed, compile=False, proposal=proposal, wider=wider
    )
    n, verdict = len(case.log_p), found.verdict()
    off = float(found.log_likelihood.mean() - case.log_p.mean())
    error = float(found.standard_error.square().sum().sqrt() / n)
    about = f"K={samples} {chunk=} {proposal} {case.about}"
    return Found(
        kind,
        seed,
        "is",
        case.sound,
        verdict.trusted,
        off,
        5 * error + OFF,
        verdict.sentence,
        about,
        case.blind,
        unseen(case, samples),
    )


def by_elbo(case: Case, kind: str, seed: int) -> Found:
    """The ELBO of each datum, which has no verdict: it is trusted where nothing that it assumes is known to be broken,
    as the log-likelihood says."""
    likelihood = evaluation.log_likelihood(case.pair, case.batch, 25, seed=seed, compile=False)
    found = evaluation.elbo_per_datum(case.pair, case.batch, DRAWS, seed)
    with scoring(case.pair, seed + 1):
        spread = log_weights(case.pair, case.batch, DRAWS).double().var(0)
    n = len(case.log_p)
    error = float((spread / DRAWS).sum().sqrt() / n)
    off = float(found.elbo.mean() - case.elbo.mean())
    trusted = not likelihood.broken and error < 1
    return Found(kind, seed, "elbo", False, trusted, off, 5 * error + OFF, str(likelihood.broken), case.about)


def by_annealing(case: Case, kind: str, seed: int) -> Found:
    """Chains from the prior, which have no verdict either: they are trusted where half of them are effective."""
    found = evaluation.ais(case.pair, case.batch, 100, 16, 8, seed=seed, compile=False)
    n = len(case.log_p)
    error = float(found.standard_error.square().sum().sqrt() / n)
    trusted = bool((found.ess >= 8).all())
    off = float(found.log_likelihood.mean() - case.log_p.mean())
    said = f"ess {found.ess.min():.1f} acceptance {found.acceptance.min():.2f}"
    return Found(kind, seed, "ais", False, trusted, off, 5 * error + OFF, said, case.about)


METHODS = {"is": by_importance, "elbo": by_elbo, "ais": by_annealing}


def tried(make: Callable[[int], Case], seed: int, method: str = "is") -> Found | None:
    """What came of a case; None where the method has nothing to be compared with. What is refused is not trusted."""
    kind = make.__name__
    with pyro.validation_enabled(False):  # quadrature looks far outside
        case = make(seed)
    if (method == "elbo" and case.elbo is None) or (method == "ais" and not case.anneal):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return METHODS[method](case, kind, seed)
        except PyrovaeError as error:
            nan = float("nan")
            return Found(kind, seed, method, case.sound, False, nan, nan, f"refused: {error}", case.about, case.blind)


@dataclasses.dataclass
class Summary:
    """Of many cases.

    Attributes:
        wrong: those that are trusted and off.
        unsure: sound ones that are not trusted.
        counts: by kind and what came of it.
    """

    wrong: list[Found] = dataclasses.field(default_factory=list)
    unsure: list[Found] = dataclasses.field(default_factory=list)
    counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, found: Found) -> None:
        """One more."""
        self.counts["tried"] += 1
        self.counts["trusted"] += bool(found.trusted)
        self.counts[f"{found.kind} {'trusted' if found.trusted else 'not'}"] += 1
        self.counts["refused"] += found.said.startswith("refused")
        self.counts["sound"] += found.sound
        self.counts["blind and off"] += found.beyond and bool(found.blind)
        self.counts["unseen and off"] += found.beyond and not found.blind and not found.wrong
        if found.wrong:
            self.wrong.append(found)
        if found.sound and not found.trusted:
            self.unsure.append(found)

    @property
    def share(self) -> float:
        """Of the sound ones, those that are trusted."""
        return 1 - len(self.unsure) / max(1, self.counts["sound"])


def search(kinds: Sequence[Callable[[int], Case]], seeds: Iterable[int], method: str = "is") -> Summary:
    """Cases of these kinds in turn."""
    summary = Summary()
    for seed in seeds:
        found = tried(kinds[seed % len(kinds)], seed, method)
        if found is not None:
            summary.add(found)
    return summary
