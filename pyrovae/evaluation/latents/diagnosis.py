"""From the figures of a pair's latents to what they mean, in sentences that name the options that would help."""

import dataclasses
import math
from collections.abc import Sequence

from torch import Tensor

from pyrovae.config import Settings
from pyrovae.errors import option
from pyrovae.evaluation.latents.aggregate import prior_depends_on_data, worst
from pyrovae.evaluation.latents.rates import Diagnostics, rates
from pyrovae.evaluation.latents.swap import swap_loss
from pyrovae.evaluation.latents.usage import Usage
from pyrovae.pairs.pair import Pair, first_dim

NOTHING = 0.1
"""Nats a datum that count as none, for a rate and for a swap: a likelihood ratio of 1.1, which no picture shows."""

NEAR_CAP = 1.0
"""Nats below log N at which the estimate of I(x; z) says only "at least": at 1 a draw's own datum holds 1/e of the
aggregate density there, so that its height is that of these N data and not of where they come from."""

FAR = 3.0
"""Nats of KL(q(z) || p(z)) from which samples of the prior differ visibly: e^3, so that about one of 20 draws of the
prior falls where the data are."""

ERRORS = 2.0
"""Standard errors below which a loss is not told from none."""


FEW = 20
"""Data below which active units, information and moments say more of the data than of the model."""


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a diagnosis is made from, in nats a datum, over all latent sites.

    Attributes:
        units: dimensions of all latent sites but those of classes.
        active: how many of them are active.
        classes: of each site of classes, its name, how many are used and how many there are.
        rate: KL(q(z | x) || p(z)), mean over the data.
        swap: loss of log p(x | z) when latents are swapped; None where it is not known.
        swap_error: its standard error.
        conditional: whether the prior depends on a condition.
        asleep: sites without an active unit, where others have some.
        information: I(x; z), estimated; None where it was not.
        cap: of that estimate, log N.
        marginal_kl: lower and upper bound of KL(q(z) || p(z)); None where there is no one prior.
        gap: sum over the dimensions of the KL between normals of the moments of q(z) and p(z), of sites where it is at
            most KL(q(z) || p(z)); of all where the prior depends on a condition, which leaves no other figure.
        worst: dimensions whose moments differ most, in words.
        data: how many were scored.
    """

    units: int
    active: int = 0
    classes: tuple[tuple[str, int, int], ...] = ()
    rate: float = 0.0
    swap: float | None = None
    swap_error: float = 0.0
    conditional: bool = False
    asleep: tuple[str, ...] = ()
    information: float | None = 0.0
    cap: float = math.inf
    marginal_kl: tuple[float, float] | None = None
    gap: float = 0.0
    worst: tuple[str, ...] = ()
    data: float = math.inf

    @classmethod
    def of(cls, found: Diagnostics, usage: Usage, data: int) -> "Findings":
        """From what `diagnose` and `usage` have found for the same data."""
        if usage.information is None:
            return cls(units=0, data=data)
        lower, upper = usage.marginal_kl_lower, usage.marginal_kl
        awake = found.active_units.values()
        counted = [each for each in usage.aggregate.values() if each.normal or usage.conditional_prior]
        gaps = [gap for each in counted for gap in each.gap if math.isfinite(gap)]
        return cls(
            units=sum(found.units.values()),
            active=sum(found.active_units.values()),
            classes=tuple((name, used, found.classes[name]) for name, used in found.classes_used.items()),
            rate=sum(found.rate.values()),
            swap=None if usage.swap is None else usage.swap.nats,
            swap_error=0.0 if usage.swap is None else usage.swap.standard_error,
            conditional=usage.conditional_prior,
            asleep=tuple(name for name, active in found.active_units.items() if not active and any(awake)),
            information=usage.information.nats,
            cap=usage.information.cap,
            marginal_kl=None if upper is None else (lower or 0.0, upper),
            gap=sum(gaps),
            worst=worst(usage.aggregate),
            data=data,
        )

    @property
    def unread(self) -> bool:
        """Whether swapping z between data costs nothing."""
        return self.swap is not None and self.swap < max(NOTHING, ERRORS * self.swap_error)

    @property
    def latent(self) -> bool:
        """Whether there is a latent site."""
        return self.units > 0 or bool(self.classes)

    @property
    def used(self) -> bool:
        """Whether z tells the model something of the datum."""
        return self.latent and unused(self) is None


def diagnosis(figures: Findings, options: Settings | None = None) -> list[str]:
    """One to three sentences: whether z is used, whether q(z) is near the prior, what the estimates cannot tell.

    Args:
        figures: what was found.
        options: the options of the model and of its training with their values, by name; only these are advised.
            None advises in words.
    """
    if not figures.latent:
        return ["This pair has no latent site, so there is no z to be used."]
    if not math.isfinite(figures.rate):
        return [
            f"The rate is {figures.rate} nats, so nothing can be said of z: train again with a lower learning rate."
        ]
    if figures.data < FEW:
        return [f"{figures.data} data are too few to say how z is used: score {FEW} or more."]
    without = unused(figures, options)
    apart = figures.information is None or figures.information >= NOTHING
    if without is not None and (figures.rate < NOTHING or not apart):
        return [without]
    said = [_used(figures, _costs(figures), options) if without is None else without]
    far = _far(figures, "" if figures.unread else f", or give the KL more weight{_more_weight(options)}", options)
    if far:
        said.append(far)
    if figures.information is not None and figures.information > max(
        figures.cap - NEAR_CAP, figures.cap / 2
    ):  # of few data the cap itself is small
        said.append(
            f"I(x; z) is at least {figures.information:.2f} nats: the estimate is near its cap, log N = "
            f"{figures.cap:.2f}, as the latents tell these data apart; only more data would show how far it goes."
        )
    return said


def unused(figures: Findings, options: Settings | None = None) -> str | None:
    """Why z is not used, in a sentence; None where it is. `fit` and `evaluate` say it by this rule alone.

    It needs the rate, the swap and whether the prior depends on a condition; arguments are those of `diagnosis`.
    """
    unread, costs, cure = figures.unread, _costs(figures), f"try {_use(options)}."
    if figures.rate < NOTHING and (unread or figures.swap is None):
        return f"z is not used: the rate is {_nats(figures.rate)}{costs}; {cure}"
    longer = f"train longer{_flag(options, 'epochs')} or {cure}"
    if unread and figures.information is not None and figures.information < NOTHING:
        # A rate without information: q(z | x) is the same for all x, and not the prior.
        text = f"z is not used: of a rate of {_nats(figures.rate)}, {_nats(figures.information)} tell the data apart"
        return f"{text}{costs}; {longer}"
    if figures.rate < NOTHING and figures.conditional:
        # Latents of another datum carry its condition, too, so that a swap costs something all the same.
        return f"z says nothing beyond the condition: the rate is {_nats(figures.rate)}; {cure}"
    if unread:
        spent = f"the guide spends {_nats(figures.rate)} on it, {costs.removeprefix(' and ')}"
        return f"The model does not read z: {spent}; {longer}"
    return None


def unused_of(pair: Pair, batch: Sequence[Tensor], options: Settings | None = None, seed: int = 0) -> str | None:
    """Why a pair does not use z on a batch, see `unused`; None where it does, where there is no latent site, and of
    fewer than `FEW` data. It costs about what three samples of the log-likelihood do.

    Raises:
        PyrovaeError: where a site stands outside the plate "data".
    """
    n = first_dim(batch)
    if n < FEW or not (spent := rates(pair, batch, seed=seed).of_sites):
        return None
    swap = swap_loss(pair, batch, seed)
    figures = Findings(
        units=len(spent),
        rate=sum(spent.values()),
        swap=None if swap is None else swap.nats,
        swap_error=0.0 if swap is None else swap.standard_error,
        conditional=prior_depends_on_data(pair, batch, seed),
        information=None,
        data=n,
    )
    return unused(figures, options) if math.isfinite(figures.rate) else None


def _costs(figures: Findings) -> str:
    return "" if figures.swap is None else f" and swapping z between data costs {_nats(figures.swap)}"


def _used(figures: Findings, costs: str, options: Settings | None) -> str:
    active = [f"{figures.active} of {figures.units} units are active"] if figures.units else []
    classes = [f"{used} of {count} classes of {name} are used" for name, used, count in figures.classes]
    text = f"z is used: {', '.join([*active, *classes])}, the rate is {_nats(figures.rate)}{costs}"
    if figures.marginal_kl is not None and max(figures.marginal_kl[1], figures.gap) < FAR:
        text += f", the aggregate posterior is within {_nats(figures.marginal_kl[1])} of the prior"
    idle = figures.units - figures.active
    if not idle:
        return f"{text}."
    if figures.active == 0:
        return f"{text}; it carries little, as no posterior mean moves: for more, try {_use(options)}."
    if figures.asleep:
        return f"{text}; {' and '.join(figures.asleep)} without an active unit: to use it, try {_use(options)}."
    wide = _flag(options, "latent_dim")
    others = "the other one carries" if idle == 1 else f"the other {idle} carry"
    return f"{text}; {others} nothing, which is no fault where z{wide} is wider than needed."


def _far(figures: Findings, advice: str, options: Settings | None) -> str | None:
    low, high = figures.marginal_kl or (0.0, 0.0)
    least = max(low, figures.gap)
    if least < FAR:
        return None
    where = f", most in {figures.worst[0]}" if figures.worst else ""
    bounds = f"between {least:.2f} and {high:.2f}" if high > 1.01 * least else f"about {least:.2f}"
    return (
        f"The aggregate posterior is far from the prior, by {bounds} nats{where}, so samples from the prior will look "
        f"unlike the data: train longer{_flag(options, 'epochs')}{advice}."
    )


def _more_weight(options: Settings | None) -> str:
    if options is None or "beta" not in options or not _trains_elbo(options):
        return ""
    return f" ({option('beta', max(1.0, 2 * options['beta']) if options['beta'] != 1 else 2, command='fit')})"


def _trains_elbo(options: Settings) -> bool:
    return bool(options.get("objective", "elbo") == "elbo")


def _use(options: Settings | None) -> str:
    """What makes a model use z."""
    if options is None:
        return "free bits, a KL weight that grows from 0 over the first epochs, or a weaker decoder"
    advice = []
    if not _trains_elbo(options):
        advice.append(option("objective", "elbo", command="fit"))
    if options.get("beta", 1.0) > 1:
        advice.append(f"{option('beta', 1, command='fit')} (it was {options['beta']:g})")
    if "free_bits" in options:
        advice.append(option("free_bits", max(0.1, 2 * options["free_bits"]), command="fit"))
    warmup = max(10.0, 2 * options.get("kl_warmup", 0.0))
    if "kl_warmup" in options and warmup <= (options.get("epochs") or math.inf):
        advice.append(option("kl_warmup", warmup, command="fit"))
    if "word_dropout" in options:
        advice.append(option("word_dropout", min(0.9, max(0.3, 2 * options["word_dropout"])), command="fit"))
    size = "channels" if options.get("net") == "conv" else "hidden" if "hidden" in options else "widths"
    if size in options:
        advice.append(f"a weaker decoder ({option(size, command='fit')})")
    return ", ".join(advice) or "free bits or a weaker decoder"


def _flag(options: Settings | None, name: str) -> str:
    """` (latent_dim)` where there is such an option."""
    return f" ({option(name, command='fit')})" if options and name in options else ""


def _nats(value: float) -> str:
    if abs(value) > 1e6:
        return f"{value:.1e} nats"
    return f"{abs(value) if abs(value) < 0.005 else value:.2f} nats"
