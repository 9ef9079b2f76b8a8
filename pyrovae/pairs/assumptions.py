"""What every score of a datum assumes of a pair and no weight shows where it is not so; tried on a few rows."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from pyro import poutine
from torch import Tensor

from pyrovae.errors import PyrovaeError, first_line, is_out_of_memory
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import dtype_of, placed
from pyrovae.pairs.strays import require_supported
from pyrovae.pairs.structure import Structure, refuse_weighed, require_per_datum, structure
from pyrovae.pairs.supports import support
from pyrovae.pairs.traces import draw, log_weights, particles, sites
from pyrovae.runtime import memory
from pyrovae.runtime.seeding import seeded

TOLERANCE = 2e-5
"""Of two ways to compute one number in float32, relative to 1 + its size."""

NEAR = 0.01
"""Nats that the mean log weight may be off by rounding."""

FEW = 7
"""Data on which the assumptions are tried: a prime, which is seldom a dim of the data."""


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
    with scoring(pair, 0):
        found = structure(pair, placed(pair, [tensor[:2] for tensor in batch]))
    refuse_weighed(found)
    if not (found.missing or found.outside or found.shapes):
        require_supported(pair, placed(pair, batch))


def broken(pair: Pair, batch: Sequence[Tensor], found: Structure, seed: int = 0) -> list[str]:
    """Which assumptions do not hold, each in a sentence; one datum says nothing of rows that interact. Leaves weights,
    modes and generators as they were.

    Args:
        pair: whose sites all stand in the plate "data".
        batch: data, of which the first few are taken.
        found: the structure of the pair.
        seed: of what is drawn.

    Raises:
        PyrovaeError: where the pair does not run with particles, by which every estimate of log p(x) is computed.
    """
    few, told = [tensor[:FEW] for tensor in batch], list[str]()
    with scoring(pair, seed):
        with suppress(memory.NoMemoryError), memory.tried(few[0].device):
            told += [leaks(pair, few, found), interacts(pair, few)] if first_dim(few) > 1 else []
        with suppress(memory.NoMemoryError), memory.tried(few[0].device), _with_particles():
            told += [coarse(pair, few), cancels(pair, few)]
        return [each for each in told if each]


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
    values, drawn = latents(pair, batch), []
    for each in (batch, other):
        with seeded(2, batch[0].device):
            trace = draw(poutine.uncondition(pair.model), each, values)
            trace.compute_log_prob()
        drawn.append(sites(trace))
    for name, site in drawn[0].items():
        if any(not _same(site[key], drawn[1][name][key]) for key in ("value", "log_prob")):
            return (
                f"site '{name}' changes with the content of {names}, which the model generates: read its shape only "
                f"(a decoder that is fed the words before is a Distribution, as pyrovae.likelihoods.Autoregressive)"
            )
    return ""


def interacts(pair: Pair, batch: Sequence[Tensor]) -> str:
    """How the log weight of a datum follows the other data of its batch, in a sentence; empty where it does not. Runs
    in the mode and on the generator that it finds."""
    whole_size = first_dim(batch)
    few, values = max(1, whole_size // 2), latents(pair, batch)
    whole = log_weights(pair, batch, values=values)[:few]
    part = log_weights(pair, [t[:few] for t in batch], values={name: z[:few] for name, z in values.items()})
    if not whole.isfinite().all() and torch.equal(whole.isfinite(), part.isfinite()):
        return f"the log weight of datum {int((~whole.isfinite()).nonzero()[0])} is not finite: look at its networks"
    if apart(part, whole) <= TOLERANCE:
        return ""
    return (
        f"the log weight of a datum is {part[0]:.4f} among {few} data and {whole[0]:.4f} among {whole_size}: "
        f"a network mixes the data of a batch; act on the last dims only, and look at view(len(x), -1) and norms"
    )


def coarse(pair: Pair, batch: Sequence[Tensor], K: int = 256, same: int = 6) -> str:
    """Which latent the guide draws at one and the same number time and again, in a sentence; empty where there is none.

    The density of such draws is not that of the guide: its scale is below what the precision resolves, it stands at a
    border of its support (torch takes what a Beta draws above 1 - 1e-16 for that), or it has no density.
    """
    for name, site in sites(draw(particles(pair.guide, K), batch), observed=False).items():
        value = site["value"]  # that of a discrete site may be a floating point number, too
        if support(site["fn"]).is_discrete or not value.is_floating_point() or value.dim() < 2 or len(value) != K:
            continue
        ordered = value.sort(0).values
        equal = (ordered[same - 1 :] == ordered[: K - same + 1]).any(0)  # (B, *event)
        if equal.any():
            row = int(equal.nonzero()[0, 0])
            return (
                f"{same} or more of {K} draws of site '{name}' for datum {row} are one and the same number, as its "
                f"scale is below what its precision resolves, or it stands at a border: score in double precision, "
                f"pair.double(), or take another distribution"
            )
    return ""


def cancels(pair: Pair, batch: Sequence[Tensor], K: int = 8) -> str:
    """How far log weights in single precision are off those of the same draws in double precision, in a sentence;
    empty where they are near, and where the pair does not run in double precision (`pyrovae check` says so)."""
    if dtype_of(pair) is torch.float64 or batch[0].device.type == "mps":
        return ""
    drawn = sites(draw(particles(pair.guide, K), batch), observed=False)
    values = {name: site["value"] for name, site in drawn.items()}
    single, twin = log_weights(pair, batch, K, values).double(), copy.deepcopy(pair).double()
    exact = {name: value.double() if value.is_floating_point() else value for name, value in values.items()}
    try:
        with scoring(twin):
            double = log_weights(twin, placed(twin, batch), K, exact)
    except (RuntimeError, TypeError, ValueError):
        return ""
    off = (single - double).mean(0)
    known = off.isfinite()  # the others are told of as what they are
    most = 5 * NEAR + TOLERANCE * double.mean(0).abs()  # of one datum: the errors of many are not of one sign
    if not known.any() or (off[known].mean().abs() <= NEAR and (off.abs() <= most)[known].all()):
        return ""
    return (
        f"the log weight of a datum is up to {off[known].abs().max():.2g} nats off in single precision, as large "
        f"numbers cancel in a log-probability: score in double precision, pair.double()"
    )


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
