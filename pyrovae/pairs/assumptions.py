"""What every score of a datum assumes of a pair and no weight shows where it is not so; tried on a few rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import torch
from pyro import poutine
from torch import Tensor

from pyrovae.errors import PyrovaeError, first_line, is_out_of_memory, option
from pyrovae.pairs.floors import floored
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.normalisers import improper
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import dtype_of, placed, precision_of
from pyrovae.pairs.strays import require_supported
from pyrovae.pairs.structure import Structure, refuse_weighed, require_per_datum, running, structure
from pyrovae.pairs.supports import support
from pyrovae.pairs.traces import Program, draw, log_joint, log_weights, particles, sites
from pyrovae.runtime import memory
from pyrovae.runtime.seeding import seeded

TOLERANCE = 2e-5
"""Of two ways to compute one number in float32, relative to 1 + its size."""

NEAR = 0.01
"""Nats that the mean log weight may be off by rounding."""

FEW = 7
"""Data on which the assumptions are tried: a prime, which is seldom a dim of the data."""

DRAWN, WEIGHED = 256, 8
"""Draws of the latents of a datum by which it is seen whether they differ, and of which weights are computed."""

Values = Mapping[str, Tensor]
"""Of the latent sites, by name."""

Guide = Callable[[Pair], Program]
"""What the latents are drawn from, of a pair or of its twin in double precision."""


def require_sound(pair: Pair, batch: Sequence[Tensor], what: str) -> Structure:
    """Refuses a pair that has no weight of its own for each datum; and one of the user's own where data, or what the
    guide draws, lie outside the supports of the model. Draws from torch's generator.

    Raises:
        PyrovaeError: with the sites, and the datum.
    """
    found = require_per_datum(pair, [tensor[:2] for tensor in batch], what)
    if pair.own:
        require_supported(pair, batch)
    return found


def require_elbo(pair: Pair, batch: Sequence[Tensor]) -> None:
    """The same for an ELBO over all data, which a pair with global latents has, too; leaves generators as they were.

    Raises:
        PyrovaeError: with the site, and the datum.
    """
    with running(pair, batch), scoring(pair, 0):
        found = structure(pair, placed(pair, [tensor[:2] for tensor in batch]))
    refuse_weighed(found)
    if not (found.missing or found.outside or found.shapes):
        require_supported(pair, placed(pair, batch))


def own_guide(pair: Pair) -> Program:
    """The guide as it is."""
    return pair.guide


def broken(
    pair: Pair,
    batch: Sequence[Tensor],
    found: Structure,
    seed: int = 0,
    guide: Guide = own_guide,
    model_only: bool = False,
) -> list[str]:
    """Which assumptions do not hold, each in a sentence; one datum says nothing of rows that interact. Leaves weights,
    modes and generators as they were.

    Args:
        pair: whose sites all stand in the plate "data".
        batch: data, of which the first few are taken.
        found: the structure of the pair.
        seed: of what is drawn.
        guide: q of the weights: the guide of the pair, or another that an estimate draws from.
        model_only: whether no weight holds a log q, as where chains start at the prior.

    Raises:
        PyrovaeError: where the pair does not run with particles, by which every estimate of log p(x) is computed.
    """
    few, told, own = [tensor[:FEW] for tensor in batch], list[str](), ""
    with scoring(pair, seed):
        with suppress(memory.NoMemoryError), memory.tried(few[0].device):
            told.append(own := noisy(pair, few, model_only))
            if first_dim(few) > 1:
                told += [leaks(pair, few, found), "" if own else interacts(pair, few, model_only)]
        with suppress(memory.NoMemoryError), memory.tried(few[0].device), _with_particles():
            told += [] if model_only else [coarse(_drawn(guide(pair), few, DRAWN, continuous=True))]
            off = "" if own else cancels(pair, few, _drawn(guide(pair), few, WEIGHED), guide, model_only)
            told += [improper(pair, few, model_only), off, floored(pair, few)]
        return [each for each in told if each]


def broken_draws(pair: Pair, batch: Sequence[Tensor], draws: Callable[[int], Values], seed: int = 0) -> list[str]:
    """The same of latents that come from no program of Pyro: K draws, (K, B, *event), of `batch`, a few data."""
    with scoring(pair, seed), suppress(memory.NoMemoryError), memory.tried(batch[0].device):
        told = [coarse(draws(DRAWN)), cancels(pair, batch, draws(WEIGHED), model_only=True)]
        return [each for each in told if each]
    return []


def unnormalised(found: Structure) -> list[str]:
    """Which sites are scored by what is no log-probability, in a sentence; none of most pairs."""
    return [f"site '{name}': {no_probability()}" for name in found.unnormalised]


def no_probability() -> str:
    """What is to be said of every number of `likelihood="bce"`."""
    normal, dynamic = (option(*each, command="fit") for each in (("likelihood", "normal"), ("binarize", "dynamic")))
    return (
        f"bce scores grayscale by a cross-entropy, which is no log-probability: what is called ELBO and log-likelihood "
        f"is neither; {normal} has both, or {dynamic} on data that are made binary"
    )


@contextmanager
def _with_particles() -> Iterator[None]:
    """Raises PyrovaeError where a program that runs without particles does not run with them."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError) as error:
        if isinstance(error, PyrovaeError) or is_out_of_memory(error):
            raise
        raise PyrovaeError(
            f"the pair does not run with particles, dims that come in from the left ({first_line(error)}): act on the "
            f"last dims; pyrovae.nets.fold calls what takes one left dim"
        ) from error


def leaks(pair: Pair, batch: Sequence[Tensor], found: Structure) -> str:
    """How the model reads the content of what it generates, in a sentence; empty where it does not. Runs in the mode
    and on the generator that it finds."""
    names = found.generated
    # Row 0 everywhere: other content in each row, other statistics of the batch.
    other = [t[:1].expand_as(t).clone() if n in names else t for n, t in zip(pair.inputs, batch, strict=True)]
    values = latents(pair, batch)

    def run(rows: Sequence[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        with seeded(2, batch[0].device):
            trace = draw(poutine.uncondition(pair.model), rows, values)
            trace.compute_log_prob()
        return {name: (site["value"], site["log_prob"]) for name, site in sites(trace).items()}

    first, changed = run(batch), run(other)
    for name in first:
        # What differs by itself, as where a program counts its calls, is `noisy` and no leak.
        if not all(map(_same, first[name], changed[name])) and all(map(_same, first[name], run(batch)[name])):
            return (
                f"site '{name}' changes with the content of {names}, which the model generates: read its shape only "
                f"(a decoder that is fed the words before is a Distribution, as pyrovae.likelihoods.Autoregressive)"
            )
    return ""


def noisy(pair: Pair, batch: Sequence[Tensor], model_only: bool = False) -> str:
    """How the log weight of a datum differs from one run to the next at the same latents, in a sentence; empty where it
    does not. Runs in the mode that it finds, and goes on with the generator's noise."""
    values = latents(pair, batch)
    once, again = (_weight(pair, batch, None, values, own_guide, model_only) for _ in range(2))
    known = once.isfinite() & again.isfinite()
    if apart(again[known], once[known]) <= TOLERANCE:
        return ""
    row = int((once - again).abs().nan_to_num().argmax())
    return (
        f"the log weight of a datum is {once[row]:.4f} and in the next run {again[row]:.4f} at the same latents: "
        f"the pair draws noise that is no site of its traces (torch.randn, dropout that stays on, a site behind "
        f"pyro.poutine.block) or counts its calls, and so it has no likelihood; make it a site of model and guide"
    )


def interacts(pair: Pair, batch: Sequence[Tensor], model_only: bool = False) -> str:
    """How the log weight of a datum follows the other data of its batch, in a sentence; empty where it does not. Runs
    in the mode and on the generator that it finds. With `model_only` log p(x, z) stands for the weight."""
    whole_size = first_dim(batch)
    few, values = max(1, whole_size // 2), latents(pair, batch)
    whole = _weight(pair, batch, None, values, own_guide, model_only)[:few]
    of_few = {name: z[:few] for name, z in values.items()}
    part = _weight(pair, [t[:few] for t in batch], None, of_few, own_guide, model_only)
    if not whole.isfinite().all() and torch.equal(whole.isfinite(), part.isfinite()):
        lost = int((~whole.isfinite()).sum())
        return f"the log weight of {lost} of the {few} data tried is not finite: look at the networks"
    if apart(part, whole) <= TOLERANCE:
        return ""
    return (
        f"the log weight of a datum is {part[0]:.4f} among {few} data and {whole[0]:.4f} among {whole_size}: "
        f"a network mixes the data of a batch; act on the last dims only, and look at view(len(x), -1) and norms"
    )


def coarse(values: Values, same: int = 6) -> str:
    """Which latent is drawn at one and the same number time and again, in a sentence; empty where there is none.

    The density of such draws is not that of the guide: its scale is below what the precision resolves, it stands at a
    border of its support (torch takes what a Beta draws above 1 - 1e-16 for that), or it has no density.

    Args:
        values: K draws of each site, (K, B, *event); sites that particles do not reach are passed over.
        same: so many equal draws are time and again.
    """
    for name, value in values.items():
        K = len(value)
        if not value.is_floating_point() or value.dim() < 2 or K != DRAWN:
            continue
        ordered = value.sort(0).values
        equal = (ordered[same - 1 :] == ordered[: K - same + 1]).any(0)  # (B, *event)
        equal = equal.reshape(len(equal), -1).any(1)
        if equal.any():
            return (
                f"{same} or more of {K} draws of site '{name}' are one and the same number, for {int(equal.sum())} of "
                f"{len(equal)} data tried, as its scale is below what its precision resolves, or it stands at a "
                f"border: score in double precision, pair.double(), or take another distribution"
            )
    return ""


def cancels(
    pair: Pair, batch: Sequence[Tensor], values: Values, guide: Guide = own_guide, model_only: bool = False
) -> str:
    """How far log weights in single precision are off those of the same draws in double precision, in a sentence;
    empty where they are near, and where the pair does not run in double precision (`pyrovae check` says so).

    Args:
        pair: on the device of the batch.
        batch: B data.
        values: K = `WEIGHED` draws of each latent site, (K, B, *event).
        guide: q of the weights.
        model_only: whether they are log p(x, z), without q.
    """
    if dtype_of(pair) is torch.float64 or batch[0].device.type == "mps":
        return ""
    single = _weight(pair, batch, WEIGHED, values, guide, model_only).double()
    twin = copy.deepcopy(pair).double()
    exact = {name: value.double() if value.is_floating_point() else value for name, value in values.items()}
    try:
        with scoring(twin):
            double = _weight(twin, placed(twin, batch), WEIGHED, exact, guide, model_only)
    except (RuntimeError, TypeError, ValueError):
        return ""
    off = (single - double).mean(0)
    known = off.isfinite()  # the others are told of as what they are
    most = 5 * NEAR + TOLERANCE * double.mean(0).abs()  # of one datum: the errors of many are not of one sign
    if not known.any() or (off[known].mean().abs() <= NEAR and (off.abs() <= most)[known].all()):
        return ""
    return (
        f"the log weight of a datum is up to {off[known].abs().max():.2g} nats off in {precision_of(pair)}, as large "
        f"numbers cancel in a log-probability: score in double precision, pair.double()"
    )


def _drawn(program: Program, batch: Sequence[Tensor], K: int, continuous: bool = False) -> Values:
    """K draws of each latent site; where `continuous`, without those that are discrete, be they of floating point."""
    drawn = sites(draw(particles(program, K), batch), observed=False)
    return {n: site["value"] for n, site in drawn.items() if not (continuous and support(site["fn"]).is_discrete)}


def _weight(
    pair: Pair, batch: Sequence[Tensor], K: int | None, values: Values, guide: Guide, model_only: bool
) -> Tensor:
    """log p(x, z) - log q(z | x) of given latents, or log p(x, z) alone: (K, B), or (B,) without K."""
    if model_only:
        return log_joint(pair.model, batch, values, K)
    return log_weights(pair, batch, K, values, guide(pair))


def _same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit; what is not a number is like itself."""
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


def latents(pair: Pair, batch: Sequence[Tensor]) -> dict[str, Tensor]:
    """One draw of the guide."""
    found = sites(draw(pair.guide, batch), observed=False)
    return {name: site["value"].detach() for name, site in found.items()}


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors, relative to 1 + their size; infinite where one is not a number."""
    difference = (a - b).abs() / (1 + b.abs())
    return difference.nan_to_num(nan=torch.inf).max().item() if difference.numel() else 0.0
