"""What a trained pair makes: samples, reconstructions, interpolations. All from its traces."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from pyro import poutine
from torch import Tensor

from pyrovae.data.field import Field
from pyrovae.errors import UsageError, did_you_mean, require_whole
from pyrovae.evaluation.latents.rates import class_of, posterior_moments
from pyrovae.generation.given import GivenValue, require_classes
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.parameters import device_of, placed
from pyrovae.pairs.structure import structure
from pyrovae.pairs.traces import Site, draw, sites

Sites = dict[str, Site]


def expectation(site: Site) -> Tensor:
    """E[x | z] of a generated site where its distribution knows it (pixels), else the drawn value (words)."""
    value: Tensor = site["value"]
    try:
        mean: Tensor = site["fn"].mean
    except (NotImplementedError, AttributeError):
        return value
    return mean if mean.isfinite().all() else value  # a class has no mean: torch says NaN


class Generated(NamedTuple):
    """The sites of a trace of the model, latent and generated, and the batch under whose conditions they stand."""

    sites: Sites
    batch: Sequence[Tensor]


def shown(found: Generated, inputs: Sequence[str], fields: Mapping[str, Field]) -> Tensor:
    """What a person is shown of the first generated field: E[x | z], with the part that was given as it was given."""
    name = next(name for name in inputs if name in found.sites)
    value = expectation(found.sites[name])
    shape = fields[name].shape if name in fields else value.shape[1:]
    if value.shape[1:] != shape and value.shape[1:].numel() == math.prod(shape):
        value = value.reshape(len(value), *shape)  # of a pair that observes images as vectors
    for part, tensor in zip(inputs, found.batch, strict=True):
        if part in fields and fields[part].of == name:
            value = torch.where(tensor[..., -1:, :, :] > 0, tensor[..., :-1, :, :].to(value), value)
    return value


def sample(pair: Pair, like: Sequence[Tensor], n: int, given: Mapping[str, GivenValue] | None = None) -> Generated:
    """Draws `n` data from p.

    Args:
        pair: model and guide; only the model is used.
        like: real data, of which `n` rows are taken in turn: they give the conditions, and the shapes of what is
            generated (never its content).
        n: how many.
        given: values of conditions, or of latent sites, which are then not drawn: one value for all, or `n`.

    Raises:
        UsageError: where `given` names neither a condition nor a latent site, or a value does not fit.
    """
    if n < 1:
        raise UsageError(f"samples = {n}: ask for at least 1")
    device = device_of(pair)
    order = torch.arange(n) % first_dim(like)
    batch = list(placed(pair, [tensor[order] for tensor in like]))
    found = structure(pair, batch)
    conditions = [name for name in pair.inputs if name not in found.generated]
    with scoring(pair):
        latent = sites(draw(pair.model, batch), observed=False)
        fixed = {}
        for name, value in (given or {}).items():
            if name in latent:
                shape = (n, *latent[name]["fn"].event_shape)
                if (q := class_of(latent[name])) is not None:
                    require_classes(name, value, q.probs.shape[-1])
                dtype = latent[name]["value"].dtype
                fixed[name] = _fit(name, torch.as_tensor(value, dtype=dtype, device=device), shape)
            elif name in conditions:
                at = pair.inputs.index(name)
                batch[at] = _fit(name, torch.as_tensor(value).to(batch[at]), tuple(batch[at].shape)).clone()
            else:
                known = [*conditions, *latent]
                raise UsageError(f"'{name}' is neither a condition nor a latent site{did_you_mean(name, known)}")
        return Generated(sites(draw(poutine.uncondition(pair.model), batch, fixed)), batch)


def _fit(name: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`value` broadcast to `shape`: one for all data (a number, or a whole value), or one for each."""
    if value.shape == shape[1:]:
        return value.expand(shape)
    try:
        return (
            value.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
            if value.dim() <= 1 < len(shape) and value.numel() in (1, shape[0])
            else value.expand(shape)
        )
    except RuntimeError:
        raise UsageError(f"{name}: a value of shape {tuple(value.shape)} does not fit {shape}") from None


def reconstruct(pair: Pair, batch: Sequence[Tensor]) -> Generated:
    """z ~ q(z | x), then x ~ p(x | z)."""
    batch = placed(pair, batch)
    with scoring(pair):
        q = draw(pair.guide, batch)
        p = draw(poutine.uncondition(poutine.replay(pair.model, trace=q)), batch)
        return Generated(sites(p), batch)


def interpolate(pair: Pair, batch: Sequence[Tensor], steps: int) -> Generated:
    """From datum 2i to datum 2i + 1, for each i: p(x | z) along the line between their posterior means.

    Returns:
        (pairs * steps) data, pair by pair. Real conditions go along the line, too; classes of the guide (the most
        probable) and conditions that are no real numbers stay those of the first end.
    """
    require_whole(steps=steps)
    if steps < 2:
        raise UsageError(f"steps = {steps}: an interpolation has at least its two ends")
    pairs = first_dim(batch) // 2
    if not pairs:
        raise UsageError("an interpolation needs two data, and there is one")
    device = device_of(pair)
    share = torch.linspace(0, 1, steps, device=device).repeat(pairs)

    def line(ends: Tensor) -> Tensor:
        """(2 * pairs, ...) -> (pairs * steps, ...)."""
        a, b = (end.repeat_interleave(steps, 0).to(device) for end in (ends[::2], ends[1::2]))
        return torch.lerp(a, b, share.reshape(-1, *[1] * (a.dim() - 1)).to(a)) if a.is_floating_point() else a

    conditions = [line(tensor[: 2 * pairs]) for tensor in batch]
    ends, values = placed(pair, [tensor[: 2 * pairs] for tensor in batch]), {}
    with scoring(pair, 0):
        classes = {name for name, site in sites(draw(pair.guide, ends), observed=False).items() if class_of(site)}
    for name, (mean, _, _) in posterior_moments(pair, ends).items():
        values[name] = line(mean.argmax(-1) if name in classes else mean)
    with scoring(pair):
        p = draw(poutine.uncondition(pair.model), conditions, values)
        return Generated(sites(p), conditions)
