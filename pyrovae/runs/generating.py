"""What a run makes: samples, reconstructions, interpolations; verbs of `pyrovae.runs.run.Run`."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.raw import DataSpec, Tensors
from pyrovae.errors import require_whole
from pyrovae.generation import draws
from pyrovae.generation.decoding import Decoding, require_temperature
from pyrovae.generation.given import GivenValue, by_number, require_allowed
from pyrovae.pairs.parameters import device_of
from pyrovae.runs.subject import Drawn
from pyrovae.runtime.seeding import require_seed, seeded


def sample(
    run: Drawn,
    n: int = 16,
    seed: int = 0,
    temperature: float | None = None,
    data: DataSpec | None = None,
    **given: GivenValue,
) -> Tensor | list[str]:
    """Draws from p: E[x | z] for pixels (n, *shape), sentences for text; `given` fixes conditions or latents: y=3.

    Conditions that are not given are those of `data`, else of the test data, in their order and again from the first.
    `temperature`, of text only, divides the logits of each word, 1 where it is None; at 0 each word is the most likely
    one.
    """
    require_whole(n=n)
    given = by_number(run.fields, given)
    require_allowed(run.fields, given)
    like = run.on(data, conditions=True).split("test", max(n, 2))
    return _shown(run, _generated(run, draws.sample, like, n, given, seed=seed, temperature=temperature))


def reconstruct(
    run: Drawn,
    n: int | Tensors | None = None,
    seed: int = 0,
    temperature: float | None = None,
    data: DataSpec | None = None,
) -> Tensor | list[str]:
    """The first `n` test data, or of `data`, each through one draw of z from the guide; `temperature` as in `sample`.

    `n` is 16 where it is None, and all where there are `data`, which may stand in its place: `run.reconstruct(x)`.
    """
    if not isinstance(n, Number | np.generic | str | None):
        n, data = None, n
    require_whole(n=n)
    batch = run.on(data).split("test", 16 if n is None and data is None else n)
    return _shown(run, _generated(run, draws.reconstruct, batch, seed=seed, temperature=temperature))


def interpolate(
    run: Drawn,
    rows: int = 4,
    steps: int = 8,
    seed: int = 0,
    temperature: float | None = None,
    data: DataSpec | None = None,
) -> Tensor | list[list[str]]:
    """Between the pairs of test data, or of `data`, that are `ends`: (rows, steps, *shape), or `rows` lists of `steps`
    sentences, whose words are the most likely ones (`temperature` 0) where nothing else is given."""
    require_whole(rows=rows, steps=steps)
    if temperature is None and run.vocabulary is not None:
        temperature = 0.0
    batch = run.on(data).ends(rows)
    shown = _shown(run, _generated(run, draws.interpolate, batch, steps, seed=seed, temperature=temperature))
    if isinstance(shown, Tensor):
        images: Tensor = shown.unflatten(0, (-1, steps))
        return images
    return [shown[start : start + steps] for start in range(0, len(shown), steps)]


def ends(run: Drawn, rows: int) -> tuple[Tensor, ...]:
    """2 * rows test data, pair by pair, to interpolate between: of one class where the pair reads the label."""
    label = run.labels("test")
    if run.classes() is None or label is None:
        return run.split("test", 2 * rows)
    batch = run.split("test")
    members = [(label == y).nonzero().flatten() for y in label.unique()]
    most = max(len(found) // 2 for found in members)
    pairs = [found[2 * i : 2 * i + 2] for i in range(most) for found in members if len(found) >= 2 * i + 2]
    chosen = torch.cat(pairs[:rows]) if pairs else torch.arange(min(2 * rows, len(label)))
    return tuple(tensor[chosen] for tensor in batch)


def _generated(
    run: Drawn, verb: Callable[..., draws.Generated], *arguments: object, seed: int, temperature: float | None = None
) -> draws.Generated:
    require_temperature(temperature, run.vocabulary is not None)
    require_seed(seed)
    with seeded(seed, device_of(run.pair)), Decoding(temperature):
        return verb(run.pair, *arguments)


def _shown(run: Drawn, found: draws.Generated) -> Tensor | list[str]:
    value = draws.shown(found, run.pair.inputs, run.fields).cpu()
    return run.vocabulary.decode(value) if run.vocabulary is not None else value
