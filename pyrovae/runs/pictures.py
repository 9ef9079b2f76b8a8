"""Pictures of a run: which ones its data allow, and what stands in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pyrovae import evaluation, plots
from pyrovae.errors import UsageError, option
from pyrovae.generation import draws as generate
from pyrovae.generation.given import GivenValue, require_allowed
from pyrovae.pairs.parameters import device_of
from pyrovae.pairs.structure import structure
from pyrovae.runtime.seeding import seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrovae.data.dataset import Part
    from pyrovae.evaluation import LogLikelihood
    from pyrovae.runs.subject import Drawn, Subject

ROWS, COLUMNS = 10, 10
MOST_POINTS = 2000
"""In a scatter plot; more hide each other."""


def pictures(run: Subject, folder: str | os.PathLike[str]) -> list[Path]:
    """Writes what the data of a run allow (curves, samples, reconstructions, latents) into a folder, which is made
    where there is none, and gives their paths."""
    made, folder = [], Path(folder)
    if run.metrics:
        made.append(plots.curves(run.metrics, folder / "curves.png"))
    if is_image(run):
        made.append(samples(run, folder / "samples.png"))
        made.append(reconstructions(run, folder / "reconstructions.png"))
    few = run.split("test", 3)
    if any(len(mean) == len(few[0]) for mean, _, _ in evaluation.posterior_moments(run.pair, few).values()):
        made.append(latents(run, folder / "latents.png"))
    return made


def is_image(run: Subject) -> bool:
    """Whether what is generated are pictures."""
    first = run.split("test", 2)
    with seeded(0, device_of(run.pair)):
        generated = structure(run.pair, first).generated
    return generated == ["x"] and run.fields["x"].is_image


def require_image(run: Subject) -> None:
    """Raises UsageError where x is no picture."""
    if not is_image(run):
        raise UsageError(
            f"these data are no images, so there is no picture of them: write their values to a .npz, "
            f"{option('out', 'FILE.npz', python='numpy.savez')}"
        )


def samples(
    run: Subject, path: Path, n: int | None = None, seed: int = 0, given: Mapping[str, GivenValue] | None = None
) -> Path:
    """E[x | z] of n draws from p.

    Where a label is a condition that is not given: a column a class, and as many rows as n draws need (10). Where part
    of x is the condition: completions of n data (10). Else n draws (100) in rows of ten.
    """
    require_image(run)
    require_allowed(run.fields, given or {})
    y = run.fields.get("y") if "y" in run.pair.inputs else None
    if y is not None and y.kind == "partial":
        return completions(run, path, n or ROWS, seed, given)
    if y is not None and y.kind == "category" and y.size is not None and not given:
        rows = ROWS if n is None else -(-n // y.size)
        labels = torch.arange(y.size).repeat(rows)
        shown = pixels(run, {"y": labels}, len(labels), len(labels), seed)
        titles = list(y.names or map(str, range(y.size)))
        return plots.image_grid(shown.unflatten(0, (rows, y.size)), path, titles, title="samples")
    n = n or ROWS * COLUMNS
    shown = pixels(run, given, n, n, seed)
    columns = min(n, COLUMNS)
    blank = shown.new_full((-n % columns, *shown.shape[1:]), torch.nan)
    return plots.image_grid(torch.cat([shown, blank]).unflatten(0, (-1, columns)), path, title="samples")


def pixels(run: Subject, given: Mapping[str, GivenValue] | None, n: int, conditions: int, seed: int) -> Tensor:
    """E[x | z] of n draws, (n, C, H, W), in [0, 1], under the conditions of the first so many test data, in turn."""
    with seeded(seed, device_of(run.pair)):
        found = generate.sample(run.pair, run.split("test", conditions), n, given)
    return generate.shown(found, run.pair.inputs, run.fields).cpu().clamp(0, 1)


def completions(
    run: Subject,
    path: Path,
    rows: int = ROWS,
    seed: int = 0,
    given: Mapping[str, GivenValue] | None = None,
    draws: int = 6,
) -> Path:
    """A row a datum: the given part, completions drawn from p(x | y), and the truth."""
    x, y = (run.split("test", rows)[run.pair.inputs.index(name)].cpu() for name in ("x", "y"))
    rows = len(x)
    value, mask = y[:, :-1], y[:, -1:].expand(y[:, :-1].shape)
    drawn = pixels(run, given, rows * draws, rows, seed).unflatten(0, (draws, rows)).transpose(0, 1)
    known = torch.where(mask > 0, value, torch.nan)
    grid = torch.cat([known[:, None], drawn, x[:, None].clamp(0, 1)], 1)
    titles = ["given", *[f"draw {i + 1}" for i in range(draws)], "truth"]
    return plots.image_grid(grid, path, titles, title="completions")


def reconstructions(run: Subject, path: Path, columns: int = COLUMNS, seed: int = 0) -> Path:
    """Test data, and below each E[x | z] for one z ~ q(z | x)."""
    require_image(run)
    batch = run.split("test", columns)
    x = batch[run.pair.inputs.index("x")].cpu()
    with seeded(seed, device_of(run.pair)):
        found = generate.shown(generate.reconstruct(run.pair, batch), run.pair.inputs, run.fields).cpu()
    return plots.image_grid(
        torch.stack([x, found]).clamp(0, 1), path, row_titles=["x", "E[x|z]"], title="reconstructions"
    )


def worst(
    run: Subject, path: Path, found: LogLikelihood, rows: Sequence[int], split: Part = "test", seed: int = 0
) -> Path:
    """A row a datum whose log-likelihood is least to be trusted: x, and E[x | z] for one z ~ q(z | x)."""
    require_image(run)
    chosen = torch.tensor(rows)
    batch = tuple(tensor[chosen.to(tensor.device)] for tensor in run.split(split, max(rows) + 1))
    x = batch[run.pair.inputs.index("x")].cpu()
    with seeded(seed, device_of(run.pair)):
        again = generate.shown(generate.reconstruct(run.pair, batch), run.pair.inputs, run.fields).cpu()
    titles = [
        f"{row}: log p {found.log_likelihood[row]:.1f}, k {found.pareto_k[row]:.2f}, ESS {found.ess[row]:.1f}"
        for row in rows
    ]
    grid = torch.stack([x, again], 1).clamp(0, 1)
    return plots.image_grid(grid, path, ["x", "E[x|z]"], titles, title=f"least to be trusted, {split}")


def interpolation(run: Drawn, path: Path, rows: int = 6, steps: int = 10) -> Path:
    """E[x | z] along lines between the posterior means of pairs of test data, the data themselves at the ends."""
    require_image(run)
    x = run.ends(rows)[run.pair.inputs.index("x")].cpu()
    between = run.interpolate(rows, steps)
    assert isinstance(between, Tensor)
    rows = len(between)
    ends = x[: 2 * rows].unflatten(0, (rows, 2))
    grid = torch.cat([ends[:, :1], between, ends[:, 1:]], 1).clamp(0, 1)
    share = [f"{i / (steps - 1):.2g}" for i in range(steps)]
    return plots.image_grid(grid, path, ["from", *share, "to"], title="interpolation")


def latents(run: Subject, path: Path, split: Part = "test", limit: int | None = None) -> Path:
    """Posterior means of a split in two dimensions, by PCA where z has more, coloured by label."""
    from sklearn.decomposition import PCA

    limit = limit or MOST_POINTS
    moments = evaluation.posterior_moments(run.pair, run.split(split, limit))
    if not moments:
        raise UsageError("this pair has no latent site, so there is nothing to draw")
    with seeded(0, device_of(run.pair)):
        discrete = structure(run.pair, run.split(split, 2)).score
    # Of a datum, not one for all, and numbers where there are any.
    name, (mean, _, _) = max(moments.items(), key=lambda item: (len(item[1][0]), item[0] not in discrete))
    points = mean.flatten(1).double()
    if points.shape[1] == 1:
        points = torch.cat([points, moments[name][1].flatten(1).double()], 1)
        axes = (f"mean of {name}", f"scale of {name}")
    elif points.shape[1] == 2:
        axes = (f"{name}₁", f"{name}₂")
    else:
        components = min(2, *points.shape)
        with np.errstate(invalid="ignore", divide="ignore"):  # of one datum, or of equal ones, there is no variance
            pca = PCA(n_components=components, svd_solver="full").fit(points.numpy())
        points = torch.from_numpy(pca.transform(points.numpy()))
        shares = [f"{share:.0%}" for share in np.nan_to_num(pca.explained_variance_ratio_)]
        if components == 1:
            points, shares = torch.cat([points, torch.zeros_like(points)], 1), [*shares, "0%"]
        axes = (f"first component ({shares[0]} of variance)", f"second component ({shares[1]})")
    field = run.data.fields.get("y")
    names = field.names if field is not None else None
    return plots.latents(
        points, run.labels(split, limit), path, names, axes, f"posterior means of {name}, {split} data"
    )
