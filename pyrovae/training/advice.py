"""What went wrong in a fit without stopping it, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyrovae.data.dataset import Dataset
from pyrovae.errors import option
from pyrovae.options import TrainConfig
from pyrovae.pairs.assumptions import no_probability
from pyrovae.runs.outcome import FinalScores, Outcome
from pyrovae.runs.recipe import Recipe
from pyrovae.runs.texts import Metrics
from pyrovae.training.order import epochs

BEHIND = 0.01
"""Of the baseline's nats, and of nats, that a model may be behind it before that is said."""

LOST = 1000.0
"""Times the baseline's nats that a model has to be behind it for a fit that diverged."""

FIRST = 3
"""Epochs before which a falling ELBO says nothing."""


def concerns(metrics: Sequence[Metrics], outcome: Outcome, config: TrainConfig, unused: str | None) -> list[str]:
    """Sentences about a run that diverged, numbers that were not finite, a latent that is not used, and a KL warm-up
    that never ended.

    Args:
        metrics: one object an epoch.
        outcome: of the fit and of the test split, as far as it was scored.
        config: of training.
        unused: why z is not used, `pyrovae.evaluation.unused_of`; None where it is.
    """
    found, steps = [], outcome.steps
    all_steps = steps + outcome.inner_steps
    if skipped := outcome.skipped_steps:
        found.append(
            f"{skipped} of {all_steps} steps were skipped, because loss or gradients were not finite: "
            f"lower {option('lr')}, or {option('clip')} the gradients"
        )
    held_out = [epoch["valid_elbo"] for epoch in metrics]
    if len(held_out) >= FIRST and not held_out[-1] >= held_out[0]:
        found.append(
            f"training diverged: the held-out ELBO ended at {held_out[-1]:.2f}, below the {held_out[0]:.2f} of the "
            f"first epoch (the weights are those of epoch {outcome.best_epoch}): "
            f"lower {option('lr')}, or {option('clip')} the gradients"
        )
    if outcome.test is not None and (lost := _lost(outcome.test)):
        return [*found, lost]
    if unused is not None:
        found.append(unused.removesuffix("."))
    if outcome.test is not None and (behind := _behind(outcome.test)):
        found.append(behind)
    weight = metrics[-1]["kl_weight"] if metrics else math.nan
    per_epoch = max(1, steps // max(1, len(metrics)))
    warm_up, beta = round(config.kl_warmup * per_epoch), config.beta
    if warm_up and outcome.stopped != "interrupted" and config.kl_cycles == 1 and weight < beta * (1 - 1 / warm_up):
        found.append(
            f"the KL warm-up never ended: the last KL weight was {weight:.2f} and not {beta:g}, so this is a beta-VAE; "
            f"set {option('kl_warmup')} below {len(metrics)} epochs"
        )
    return found


def _lost(test: FinalScores) -> str:
    """That the model has left the data altogether, from the first epoch on; empty where it has not."""
    if test.baseline is None or test.elbo > test.baseline.log_likelihood - LOST * (
        1 + abs(test.baseline.log_likelihood)
    ):
        return ""
    name, floor = test.baseline
    return (
        f"the model is far worse than an {name} with the moments of the training data: {test.elbo:.1e} nats a datum, "
        f"where that has {floor:,.2f}: training diverged (lower {option('lr')}, or {option('clip')} the gradients), or "
        f"columns are of unlike scale"
    )


def _behind(test: FinalScores) -> str:
    """That the model is worse than the baseline; empty where it is not."""
    best = max(test.elbo, test.likelihood.get("log_likelihood") or -math.inf)
    if test.baseline is None or best >= test.baseline.log_likelihood - BEHIND * (1 + abs(test.baseline.log_likelihood)):
        return ""
    name, floor = test.baseline
    return (
        f"the model is worse than an {name} with the moments of the training data: {best:,.2f} nats a datum, where "
        f"that has {floor:,.2f}; train longer, lower {option('lr')}, or look for columns of unlike scale"
    )


def notes(data: Dataset, recipe: Recipe) -> list[str]:
    """What a person should know before training starts."""
    config, total, found = recipe.training, epochs(data, recipe.training), [*data.description.get("notes", [])]
    cycles, length = config.kl_cycles, total / config.kl_cycles
    if config.kl_warmup > length:
        end = config.beta * length / config.kl_warmup
        where = f"training ({total})" if cycles == 1 else f"each of the {cycles} cycles of training ({length:g})"
        found.append(
            f"the KL warm-up of {config.kl_warmup:g} epochs is longer than {where}: the KL weight ends at "
            f"{end:.2f}, so this trains a beta-VAE with beta below {config.beta:g}; "
            f"set {option('kl_warmup')} below {length:g}"
        )
    if getattr(recipe.options, "likelihood", None) == "bce":
        found.append(no_probability())
    counts, family = data.description.get("distinct_counts"), getattr(recipe.options, "likelihood", "")
    if counts and family.partition(":")[0] in ("auto", "normal"):
        found.append(
            f"x holds {counts} distinct whole numbers from 0 on, as counts are: the Normal of this fit takes them for "
            f"real numbers and gives a density; a pair of your own may take dist.Poisson or dist.NegativeBinomial"
        )
    if recipe.model is not None and (columns := [name for name, each in data.fields.items() if each.standardized]):
        found.append(
            f"the pair takes {' and '.join(columns)} in units of each column's training deviation around its training "
            f"mean; log p and outputs keep the units of the data ({option('standardize', False)}: all do)"
        )
    if recipe.frozen and recipe.frozen["shared"]:
        found.append(f"model and guide share {', '.join(recipe.frozen['shared'])}: frozen with the model, too")
    return found
