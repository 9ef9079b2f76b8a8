"""A run beside another on the same data: the paired difference of their log-likelihoods."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyrovae.data.dataset import Part
from pyrovae.errors import PyrovaeError, option
from pyrovae.evaluation.assumed import verdict as assumed_verdict
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.parameters import device_of
from pyrovae.pairs.structure import structure
from pyrovae.pairs.traces import draw, sites
from pyrovae.runs.subject import Subject
from pyrovae.runtime.seeding import seeded
from pyrovae.storage.jsonable import Json

ERRORS = 2.0
"""Standard errors from which a difference is called one: about 5 % of the differences that are none exceed it."""


def require_comparable(run: Subject, baseline: Subject, split: Part, limit: int | None = None) -> None:
    """Raises PyrovaeError where the two runs do not score the same data, drawn alike, in the same measure."""
    ours, theirs = run.description.get("fingerprint"), baseline.description.get("fingerprint")
    who = _name(baseline)
    if ours != theirs:
        raise PyrovaeError(
            f"{who} was trained on other data (fingerprint {str(theirs)[:12]}, this run has {str(ours)[:12]}): "
            f"compare runs on the same data with the same data options, {option('layout', command='fit')} among them"
        )
    if _words(run) != _words(baseline):
        raise PyrovaeError(
            f"{who} was trained on other words: fit both on the same text, with the same {option('vocab')} and "
            f"{option('vocab_size')}"
        )
    scored, other = _scored(run, split, limit), _scored(baseline, split, limit)
    if set(scored) != set(other):
        raise PyrovaeError(
            f"{who} generates {', '.join(other)}, this run {', '.join(scored)}: compare runs that generate the same"
        )
    for name, (values, discrete) in scored.items():
        against, theirs_discrete = other[name]
        if values.shape != against.shape or not torch.equal(values.cpu().double(), against.cpu().double()):
            raise PyrovaeError(
                f"the {name} of the {split} split is not the same in {who}, though the files are: fit both with "
                f"the same {option('data_seed')}, {option('binarize')}, {option('image_size')} and {option('pixels')}"
            )
        if discrete != theirs_discrete:
            raise PyrovaeError(
                f"one of this run and {who} scores {name} by probabilities, the other by densities, which have no "
                f"common measure: fit both with the same {option('likelihood')}"
            )
    mine, their = _given_parts(run, split, limit), _given_parts(baseline, split, limit)
    if set(mine) != set(their) or any(not torch.equal(mine[name], their[name]) for name in mine):
        raise PyrovaeError(
            f"this run and {who} do not score the same part of each image: fit both with the same "
            f"{option('condition')} and {option('quadrants')}"
        )


def difference(
    run: Subject,
    baseline: Subject,
    own: Tensor,
    other: Tensor,
    used: bool = True,
    broken: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> Json:
    """The mean of own - other, (N,) each, in nats a datum, with its standard error over the data, paired.

    `verdict` is that in a sentence, which says whether z helps where only this run has latent sites, and it is `used`;
    where something is `broken` of either (`pyrovae.evaluation.assumed`), it says nothing of the models.
    """
    delta = own.double() - other.double()
    mean = delta.mean().item()
    error = delta.std().item() / math.sqrt(len(delta)) if len(delta) > 1 else None
    return {
        "run": _name(baseline),
        "log_likelihood": other.mean().item(),
        "difference": mean,
        "standard_error": error,
        "num_data": len(delta),
        "broken": [*dict.fromkeys((*broken[0], *broken[1]))],
        "verdict": _against(baseline, *broken)
        or verdict(mean, error, _name(baseline), _has_latents(run) and not _has_latents(baseline), used)
        + _measures(run, baseline),
    }


def _against(baseline: Subject, ours: Sequence[str], theirs: Sequence[str]) -> str:
    """Why a difference says nothing, in a sentence; empty where nothing is known against it."""
    for who, found in (("this run", ours), (_name(baseline), theirs)):
        if against := assumed_verdict(found):
            return f"The difference says nothing, as the log-likelihood of {who} {against}."
    return ""


def _measures(run: Subject, baseline: Subject) -> str:
    """A sentence where one run is told what the other is not."""
    (ours, mine), (theirs, their) = (_conditions(each) for each in (run, baseline))
    if mine == their:
        return ""
    return f" This run scores {ours}, {_name(baseline)} {theirs}: one of them is told more."


def _conditions(run: Subject) -> tuple[str, set[str]]:
    """`log p(x | y)` and {"y"}."""
    with seeded(0, device_of(run.pair)):
        found = structure(run.pair, run.split("test", 2))
    generated = found.generated
    given = [name for name in run.pair.inputs if name not in (*generated, *found.latent)]
    return f"log p({', '.join(generated)}{' | ' + ', '.join(given) if given else ''})", set(given)


def verdict(mean: float, error: float | None, name: str, only_z: bool, used: bool = True) -> str:
    """What a difference says, in a sentence.

    Args:
        mean: of the paired differences, nats a datum.
        error: its standard error over the data; None for one datum.
        name: the other run.
        only_z: whether the other has no latent site, and this run has.
        used: whether this run uses its latents.
    """
    size = f"{abs(mean):.3f}" + ("" if error is None else f" +- {error:.3f}") + " nats a datum"
    more = f"; its figure is a lower bound, which more {option('samples')} may raise" if only_z else ""
    if error is None or not abs(mean) > ERRORS * error:
        why = "one datum has no standard error" if error is None else "less than two standard errors"
        helps = "so z is not seen to help" if only_z else "so neither is seen to be better"
        return f"This run and {name} differ by {size}, {why}, {helps}{more}."
    if mean > 0:
        helped = (": z helps" if used else ", but not by z, which it does not use") if only_z else ""
        return f"This run explains the data better than {name}, by {size}{helped}."
    return f"{name} explains the data better than this run, by {size}{': z does not help' if only_z else ''}{more}."


def _name(run: Subject) -> str:
    return "the baseline" if run.path is None else str(run.path)


def _words(run: Subject) -> str | None:
    return None if run.vocabulary is None else run.vocabulary.to_json()


def _has_latents(run: Subject) -> bool:
    with seeded(0, device_of(run.pair)):
        return bool(structure(run.pair, run.split("test", 2)).latent)


def _scored(run: Subject, split: Part, limit: int | None) -> dict[str, tuple[Tensor, bool]]:
    """What is generated, by name, and whether it is scored by probabilities."""
    batch = run.split(split, limit)
    with scoring(run.pair, 0):
        observed = sites(draw(run.pair.model, [tensor[:2] for tensor in batch]), observed=True)
    return {
        name: (batch[run.pair.inputs.index(name)], bool(site["fn"].support.is_discrete))
        for name, site in observed.items()
    }


def _given_parts(run: Subject, split: Part, limit: int | None) -> dict[str, Tensor]:
    """The conditions that are a part of what is generated, which then is not scored."""
    batch = dict(zip(run.pair.inputs, run.split(split, limit), strict=True))
    return {name: tensor.cpu() for name, tensor in batch.items() if name in run.fields and run.fields[name].of}
