"""Pictures of what latents do: the decoded plane of two dimensions, and each dimension by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyrovae import evaluation, plots
from pyrovae.errors import PyrovaeError
from pyrovae.evaluation.latents.aggregate import prior_moments
from pyrovae.generation import draws as generate
from pyrovae.pairs.parameters import device_of
from pyrovae.plots.figure import MINUS
from pyrovae.runs import captions
from pyrovae.runtime.seeding import seeded

if TYPE_CHECKING:
    from pyrovae.runs.subject import Subject

SIDE = 15
"""Points of the plane along each of its dimensions."""

EDGE = 0.02
"""Share of the prior beyond the first and the last of them."""

PRIOR_DRAWS = 1000
"""By which the quantiles of a prior are found that is no normal."""

STEPS = (-3, -2, -1, 0, 1, 2, 3)
"""Deviations of the prior along which a dimension is followed."""

AT_ONCE = 100
"""Images that are decoded together, as those of a grid of samples are."""

SMALL = 64
"""Pixels of an image, at most."""

ROWS, SCORED = 10, 200
"""Dimensions that are drawn, and test data by which their rates are found."""


def plane(run: Subject, path: Path) -> Path | None:
    """E[x | z] where z has two dimensions, over points at even shares of the prior: by the inverse of its distribution
    function, so that each has as much of p(z) around it. A condition is that of the first test datum.

    None where there is no such z, or are other latents beside it.
    """
    first = run.split("test", 1)
    found = captions.letters(run)
    site = evaluation.two_dimensional(run.pair, first)
    if site is None or found.latent != site:
        return None
    shares = torch.linspace(EDGE, 1 - EDGE, SIDE)
    prior = prior_moments(run.pair, first)[site]
    if prior.normal:
        ends = prior.mean.float() + prior.deviation.float() * torch.special.ndtri(shares).unsqueeze(-1)  # (SIDE, 2)
    else:
        with seeded(0, device_of(run.pair)):
            drawn = generate.sample(run.pair, first, PRIOR_DRAWS).sites[site]["value"].cpu()
        ends = drawn.flatten(1).float().quantile(shares, 0)
    across = ends[:, 0].repeat(SIDE)  # row by row, from the top
    up = ends[:, 1].flip(0).repeat_interleave(SIDE)
    cells = _decoded(run, first, {site: torch.stack([across, up], 1)})
    columns, rows = ends[:, 0], ends[:, 1].flip(0)
    title = (
        f"{captions.subject(run)}: {found.decoded} over the plane of {site}{_condition(run)}\n"
        f"{site}₁ to the right, {site}₂ up, at even shares of {found.prior}"
    )
    texts = [_number(value) for value in columns.tolist()], [_number(value) for value in rows.tolist()]
    return plots.image_grid(cells.unflatten(0, (SIDE, SIDE)), path, *texts, title, SMALL)


def traversals(run: Subject, path: Path) -> Path | None:
    """E[x | z] along one dimension a row, those of the highest rate above, from -3 to 3 deviations of its prior; all
    others stay at the posterior mean of the first test datum.

    None where no latent site of real numbers by itself moves x.
    """
    batch, found = run.split("test", SCORED), captions.letters(run)
    first = tuple(tensor[:1] for tensor in batch)
    moments = evaluation.posterior_moments(run.pair, batch)
    try:
        rates = evaluation.diagnose(run.pair, batch).rate_by_dim
    except PyrovaeError:  # a latent is one for all data
        return None
    priors = prior_moments(run.pair, first)
    base = {name: mean[:1].argmax(-1) if name in found.discrete else mean[:1] for name, (mean, _, _) in moments.items()}
    order: list[tuple[float, str, int, str]] = []
    for name, (mean, _, _) in moments.items():
        if name in found.discrete:
            continue
        by_dim = rates.get(name)
        if by_dim is None:  # of a family that does not factorise, there is no rate of one dimension
            values, word = mean.flatten(1).var(0, correction=0), "variance {:.2f}"
        else:
            values, word = torch.tensor(by_dim).flatten(), "{:.2f} nats"
        best = values.argsort(descending=True, stable=True)[:ROWS].tolist()
        order += [(float(values[i]), name, i, word.format(float(values[i]))) for i in best]
    order.sort(key=lambda each: -each[0])
    if not order:
        return None
    steps = torch.tensor(STEPS, dtype=torch.float32)
    given = {name: value.repeat(len(order) * len(STEPS), *[1] * (value.dim() - 1)) for name, value in base.items()}
    for row, (_, name, i, _) in enumerate(order):
        here = slice(row * len(STEPS), (row + 1) * len(STEPS))
        centre, deviation = (each.flatten()[i].float() for each in (priors[name].mean, priors[name].deviation))
        given[name][here].flatten(1)[:, i] = (centre + deviation * steps).to(given[name].dtype)
    cells = _decoded(run, first, given).unflatten(0, (len(order), len(STEPS)))
    moving = [i for i, row in enumerate(cells) if bool((row - row[:1]).abs().max() > 1e-6)][:ROWS]
    if not moving:  # or below another site, which is held
        return None
    texts = [f"{order[i][1]}[{order[i][2]}]: {order[i][3]}" for i in moving]
    columns = [_number(value, 0) for value in STEPS]
    title = (
        f"{captions.subject(run)}: {found.decoded} along one dimension a row, by rate{_condition(run)}\n"
        f"in deviations of its prior; the others at {found.mean()} of test row 0"
    )
    return plots.image_grid(cells[moving], path, columns, texts, title, SMALL)


def _decoded(run: Subject, like: tuple[Tensor, ...], given: dict[str, Tensor]) -> Tensor:
    """E[x | z] of these latents, (n, C, H, W), in [0, 1]."""
    count, cells = len(next(iter(given.values()))), []
    with seeded(0, device_of(run.pair)):
        for start in range(0, count, AT_ONCE):
            part = {name: value[start : start + AT_ONCE] for name, value in given.items()}
            found = generate.sample(run.pair, like, min(AT_ONCE, count - start), part)
            cells.append(generate.shown(found, run.pair.inputs, run.fields).cpu().clamp(0, 1))
    return torch.cat(cells)


def _condition(run: Subject) -> str:
    """`, y = 3`, that of the first test datum; empty where the pair reads none."""
    given = captions.letters(run).given
    if not given:
        return ""
    y = run.fields.get("y")
    names = captions.classes(run, "test", [0]) if given == "y" and y is not None and y.kind == "category" else None
    return f", y = {names[0]}" if names else f", {given} of test row 0"


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}".replace("-", MINUS)
