"""Pictures of a run: which ones its data allow, and what stands in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pyrovae import evaluation, plots
from pyrovae.data.new import NewData
from pyrovae.errors import UsageError, option
from pyrovae.generation import draws as generate
from pyrovae.generation.given import GivenValue, by_number, require_allowed
from pyrovae.pairs.parameters import device_of
from pyrovae.pairs.structure import structure
from pyrovae.plots.figure import minus, shortened
from pyrovae.runs import captions, walks
from pyrovae.runtime.seeding import seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrovae.data.dataset import Part
    from pyrovae.evaluation import LogLikelihood
    from pyrovae.runs.subject import Drawn, Subject

ROWS, COLUMNS = 10, 10
MOST_POINTS = 2000
"""In a scatter plot; more hide each other."""

MOST_ROWS, MOST_COLUMNS = 1000, 5
"""Data, samples and columns of a table that are drawn."""

MOST_SITES = 6
"""Panels of one picture."""


def pictures(run: Subject, folder: str | os.PathLike[str]) -> list[Path]:
    """Writes what the data of a run allow (curves, samples, reconstructions, latents) into a folder, which is made
    where there is none, and gives their paths."""
    made, folder = [], Path(folder)
    if run.metrics:
        terms = captions.letters(run).terms()
        made.append(plots.curves(run.metrics, folder / "curves.png", captions.subject(run), terms))
    if is_image(run):
        made.append(samples(run, folder / "samples.png"))
        made.append(reconstructions(run, folder / "reconstructions.png"))
    if is_vector(run):
        made.append(marginals(run, folder / "marginals.png"))
    few = run.split("test", 3)
    if any(len(mean) == len(few[0]) for mean, _, _ in evaluation.posterior_moments(run.pair, few).values()):
        made.append(latents(run, folder / "latents.png"))
    if is_image(run):
        drawn = (walks.plane(run, folder / "plane.png"), walks.traversals(run, folder / "traversals.png"))
        made += [path for path in drawn if path is not None]
    return made


def is_image(run: Subject) -> bool:
    """Whether what is generated are pictures."""
    return _generates_x(run) and run.fields["x"].is_image


def is_vector(run: Subject) -> bool:
    """Whether what is generated are vectors of numbers."""
    return _generates_x(run) and len(run.fields["x"].shape) == 1 and run.fields["x"].kind in ("real", "unit", "binary")


def _generates_x(run: Subject) -> bool:
    first = run.split("test", 2)
    with seeded(0, device_of(run.pair)):
        return structure(run.pair, first).generated == ["x"]


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
    of x is the condition: completions of n data (10). Else n draws (100) in rows of ten. Of vectors, `marginals`.
    """
    given = by_number(run.fields, given or {})
    if is_vector(run):
        return marginals(run, path, n, seed, given)
    require_image(run)
    require_allowed(run.fields, given)
    y = run.fields.get("y") if "y" in run.pair.inputs else None
    if y is not None and y.kind == "partial":
        return completions(run, path, n or ROWS, seed, given)
    if y is not None and y.kind == "category" and y.size is not None and not given:
        rows = ROWS if n is None else -(-n // y.size)
        labels = torch.arange(y.size).repeat(rows)
        shown = pixels(run, {"y": labels}, len(labels), len(labels), seed)
        titles = list(y.names or map(str, range(y.size)))
        title = f"{_drawn(run, given)}, a column a class y"
        return plots.image_grid(shown.unflatten(0, (rows, y.size)), path, titles, title=title)
    n = n or ROWS * COLUMNS
    shown = pixels(run, given, n, n, seed)
    columns = min(n, COLUMNS)
    blank = shown.new_full((-n % columns, *shown.shape[1:]), torch.nan)
    title = _drawn(run, given)
    return plots.image_grid(torch.cat([shown, blank]).unflatten(0, (-1, columns)), path, title=title)


def _drawn(run: Subject, given: Mapping[str, GivenValue] | None) -> str:
    """Title of what p generates."""
    found = captions.letters(run)
    if not found.latent:
        return f"{captions.subject(run)}: {found.decoded}{captions.values(run, given)}"
    fixed, given = found.given.split(", ") if found.given else [], given or {}
    others = [name for name in fixed if name not in given and run.fields[name].kind != "category"]
    told = f", {', '.join(others)} of the {captions.part(run)}" if others else ""
    drawn = ", ".join(name for name in found.latent.split(", ") if name not in given)
    from_p = f", {drawn} ~ {found.prior}" if drawn else ""
    return f"{captions.subject(run)}: {found.decoded}{from_p}{captions.values(run, given)}{told}"


def marginals(
    run: Subject, path: Path, n: int | None = None, seed: int = 0, given: Mapping[str, GivenValue] | None = None
) -> Path:
    """Columns of test data against those of n draws of x from p (1,000): each by itself, and in pairs.

    Where a class is given, against the data of that class; where something else is, by themselves.
    """
    require_allowed(run.fields, given or {})
    batch = run.split("test", MOST_ROWS)
    known = None if isinstance(run.data, NewData) else batch[run.pair.inputs.index("x")].cpu()
    if given and known is not None:
        value, labels, y = torch.as_tensor(given.get("y", -1)), run.labels("test", MOST_ROWS), run.fields.get("y")
        of_class = set(given) == {"y"} and value.numel() == 1 and y is not None and y.kind == "category"
        rows = torch.zeros(len(known)) if labels is None or not of_class else labels == value.item()
        known = known[rows > 0] if rows.any() else None
    with seeded(seed, device_of(run.pair)):
        x = generate.sample(run.pair, batch, n or MOST_ROWS, given).sites["x"]["value"].cpu()
    spread = (x if known is None else known).double().var(0, correction=0)
    chosen = spread.argsort(descending=True, stable=True)[:MOST_COLUMNS].sort().values
    found, size = captions.letters(run), x.shape[1]
    told = f"\n{len(chosen)} of {size} columns, of the largest variance" if len(chosen) < size else ""
    against = (
        f"{'' if known is None else f'{len(known):,} {captions.part(run)} and '}{len(x):,} draws of {found.density}"
    )
    title = f"{captions.subject(run)}: {against}{captions.values(run, given)}{told}"
    names = [f"column {i}" for i in chosen.tolist()]
    return plots.marginals(None if known is None else known[:, chosen], x[:, chosen], names, path, title)


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
    found = captions.letters(run)
    title = f"{captions.subject(run)}, {captions.part(run)}: {found.decoded}, y the given part"
    return plots.image_grid(grid, path, titles, title=title)


def reconstructions(run: Subject, path: Path, columns: int = COLUMNS, seed: int = 0) -> Path:
    """Test data, and below each E[x | z] for one z ~ q(z | x)."""
    require_image(run)
    batch = run.split("test", columns)
    x = batch[run.pair.inputs.index("x")].cpu()
    with seeded(seed, device_of(run.pair)):
        again = generate.shown(generate.reconstruct(run.pair, batch), run.pair.inputs, run.fields).cpu()
    found, titles = captions.letters(run), captions.conditions(run, range(len(x)))
    title = f"{captions.subject(run)}, {captions.part(run)}: x, and {found.decoded} of one draw of {found.posterior}"
    return plots.image_grid(torch.stack([x, again]).clamp(0, 1), path, titles, ["x", found.decoded], title)


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
    shown = captions.letters(run)
    index = run.index(split)
    names = index.get("name")
    classes = captions.classes(run, split, rows)
    texts = []
    for i, row in enumerate(rows):
        said = shortened(str(names[row]), 24) if names is not None else f"row {index['row'][row]}"
        texts.append(
            f"{said}{'' if classes is None else f', class {classes[i]}'}\n"
            f"log {shown.density} = {minus(float(found.log_likelihood[row]))} nats\n"
            f"Pareto k {float(found.pareto_k[row]):.2f}, ESS {float(found.ess[row]):.1f}"
        )
    grid = torch.stack([x, again], 1).clamp(0, 1)
    title = f"{captions.subject(run)}, {captions.part(run, split)}: least to be trusted"
    return plots.captioned(grid, texts, path, ["x", shown.decoded], title)


def interpolation(run: Drawn, path: Path, rows: int = 6, steps: int = 10) -> Path:
    """E[x | z] along lines between the posterior means of pairs of test data, the data themselves at the ends."""
    require_image(run)
    batch = run.ends(rows)
    x = batch[run.pair.inputs.index("x")].cpu()
    between = run.interpolate(rows, steps)
    assert isinstance(between, Tensor)
    rows = len(between)
    ends = x[: 2 * rows].unflatten(0, (rows, 2))
    grid = torch.cat([ends[:, :1], between, ends[:, 1:]], 1).clamp(0, 1)
    share = [f"{i / (steps - 1):.2g}" for i in range(steps)]
    found, y = captions.letters(run), run.fields.get("y")
    titles = None
    if run.classes() is not None and y is not None:
        names = [y.names[i] if y.names else str(i) for i in batch[run.pair.inputs.index("y")][: 2 * rows : 2].tolist()]
        titles = [f"y = {name}" for name in names]
    title = f"{captions.subject(run)}, {captions.part(run)}: {found.decoded} from one {found.mean()} to another"
    return plots.image_grid(grid, path, ["x", *share, "x"], titles, title)


def latents(run: Subject, path: Path, split: Part = "test", limit: int | None = None) -> Path:
    """Each latent site of a split, a panel each: posterior means in two dimensions, by principal components where the
    site has more, coloured by label; of a site of classes what each label is taken for."""
    limit = limit or MOST_POINTS
    batch = run.split(split, limit)
    moments = evaluation.posterior_moments(run.pair, batch)
    if not moments:
        raise UsageError("this pair has no latent site, so there is nothing to draw")
    local = {name: each for name, each in moments.items() if len(each[0]) == len(batch[0])}
    found = captions.letters(run)
    drawn = dict(list((local or moments).items())[:MOST_SITES])
    labels = run.labels(split, limit) if local else None
    panels = [_panel(name, mean, scale, found) for name, (mean, scale, _) in drawn.items()]
    field = run.data.fields.get("y")
    names = field.names if field is not None else None
    told = "posterior means" if len(drawn) == len(moments) else f"{len(drawn)} of {len(moments)} latent sites"
    title = f"{captions.subject(run)}: {told}, {captions.part(run, split)}"
    if found.given:
        title += f"\n(model and guide are told {found.given}, so that z need not say it)"
    legend = "label y" if "y" in found.given.split(", ") else "label\n(not read by q)"
    return plots.latents(panels, labels, path, names, title, legend)


def _panel(name: str, mean: Tensor, scale: Tensor, found: captions.Letters) -> plots.Scatter | plots.Shares:
    """How a latent site is drawn: `mean` and `scale` of q are (N, *event)."""
    points, of = mean.flatten(1).double(), found.mean(name)
    if name in found.discrete and points.shape[1] > 1 and bool((points >= 0).all()):
        posterior = f"q({of[2:-1]})"
        return plots.Shares(points, (f"class {name}", "label"), posterior)
    if points.shape[1] == 1:
        points = torch.cat([points, scale.flatten(1).double()], 1)
        return plots.Scatter(points, (f"mean of {name}", f"scale of {name}"), f"mean and scale of q({of[2:-1]})")
    if points.shape[1] == 2:
        return plots.Scatter(points, (f"{name}₁", f"{name}₂"), of)
    from sklearn.decomposition import PCA

    components = min(2, *points.shape)
    with np.errstate(invalid="ignore", divide="ignore"):  # of one datum, or of equal ones, there is no variance
        pca = PCA(n_components=components, svd_solver="full").fit(points.numpy())
    size, points = points.shape[1], torch.from_numpy(pca.transform(points.numpy()))
    shares = [f"{share:.0%}" for share in np.nan_to_num(pca.explained_variance_ratio_)]
    if components == 1:
        points, shares = torch.cat([points, torch.zeros_like(points)], 1), [*shares, "0%"]
    words = zip(("first", "second"), shares, strict=True)
    axes = tuple(f"{which} principal component of {of} ({share} of its variance)" for which, share in words)
    return plots.Scatter(points, (axes[0], axes[1]), f"{of}, {size} dimensions")
