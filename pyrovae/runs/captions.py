"""What stands above the pictures of a run: which model and data, and what is drawn, in the letters of its sites."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from pyrovae.data.new import NewData
from pyrovae.evaluation.latents.aggregate import prior_depends_on_data
from pyrovae.pairs.parameters import device_of
from pyrovae.pairs.structure import structure
from pyrovae.plots.curves import Terms
from pyrovae.plots.figure import MINUS, shortened
from pyrovae.runtime.seeding import seeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrovae.data.dataset import Part
    from pyrovae.generation.given import GivenValue
    from pyrovae.runs.subject import Subject

LONGEST = 40
"""Letters of the name of a model or of data, which may be a path."""

PROBED = 32
"""Data by which a prior is found conditional."""


@dataclasses.dataclass(frozen=True)
class Letters:
    """A pair in the letters of its sites.

    Attributes:
        x: what is generated: `x`.
        latent: `z`, or `z1, z2`.
        given: the conditions that model and guide read: `y`, or nothing.
        conditional: whether the prior reads them.
        discrete: latent sites whose draws have no gradient, classes most often.
    """

    x: str
    latent: str
    given: str
    conditional: bool
    discrete: tuple[str, ...] = ()

    @property
    def density(self) -> str:
        """`p(x | y)`."""
        return f"p({_bar(self.x, self.given)})"

    @property
    def prior(self) -> str:
        """`p(z | y)`."""
        return f"p({_bar(self.latent, self.given if self.conditional else '')})"

    @property
    def posterior(self) -> str:
        """`q(z | x, y)`."""
        return f"q({_bar(self.latent, self.x, self.given)})"

    @property
    def decoded(self) -> str:
        """`E[x | z, y]`."""
        return f"E[{_bar(self.x, self.latent, self.given)}]"

    def mean(self, site: str = "") -> str:
        """`E[z | x, y]`."""
        return f"E[{_bar(site or self.latent, self.x, self.given)}]"

    def terms(self) -> Terms:
        """Titles of the curves."""
        of = _bar(self.x, self.latent, self.given)
        if not self.latent:
            return Terms(f"log {self.density}", "Rate: there is no latent site", f"Distortion: {MINUS}log p({of})")
        rate = f"Rate: KL({self.posterior} ‖ {self.prior})"
        return Terms(f"ELBO, a lower bound of log {self.density}", rate, f"Distortion: {MINUS}E log p({of})")


def _bar(left: str, *right: str) -> str:
    given = ", ".join(part for part in right if part)
    return f"{left} | {given}" if given else left


def letters(run: Subject) -> Letters:
    """Those of a run, by a trace of its pair on a few test data."""
    few = run.split("test", PROBED)
    with seeded(0, device_of(run.pair)):
        found = structure(run.pair, tuple(tensor[:2] for tensor in few))
    given = [name for name in run.pair.inputs if name not in (*found.generated, *found.latent)]
    conditional = bool(given and found.latent) and prior_depends_on_data(run.pair, few)
    x = ", ".join(found.generated) or "x"
    return Letters(x, ", ".join(found.latent), ", ".join(given), conditional, tuple(found.score))


def subject(run: Subject) -> str:
    """`cvae on digits`."""
    model = run.recipe.model or "a pair of its own"
    return f"{shortened(model, LONGEST)} on {shortened(str(run.description.get('source', 'data')), LONGEST)}"


def part(run: Subject, split: Part = "test") -> str:
    """`test data`, or `new data` where they were not among those of the fit."""
    return "new data" if isinstance(run.data, NewData) else "all data" if split == "all" else f"{split} data"


def classes(run: Subject, split: Part, rows: Sequence[int]) -> list[str] | None:
    """What the classes of these rows are called; None where the data have none."""
    labels = run.labels(split)
    if labels is None or labels.is_floating_point():
        return None
    field = run.data.fields.get("y")
    names = None if field is None else field.names
    found = labels[torch.tensor(list(rows), dtype=torch.long)].tolist()
    return [names[each] if names and 0 <= each < len(names) else str(int(each)) for each in found]


def conditions(run: Subject, rows: Sequence[int]) -> list[str] | None:
    """`y = 3` of test data; None where the pair reads no class."""
    y = run.fields.get("y")
    if y is None or y.kind != "category" or "y" not in letters(run).given.split(", "):
        return None
    names = classes(run, "test", rows)
    return None if names is None else [f"y = {name}" for name in names]


def values(run: Subject, given: Mapping[str, GivenValue] | None) -> str:
    """`, y = 3` of what is given."""
    field, told = run.fields.get("y"), []
    for name, value in (given or {}).items():
        flat = torch.as_tensor(value).flatten().tolist()
        text = ", ".join(f"{each:g}" for each in flat[:4]) + (", …" if len(flat) > 4 else "")
        if name == "y" and field is not None and field.names and len(flat) == 1 and 0 <= flat[0] < len(field.names):
            text = field.names[int(flat[0])]
        told.append(f", {name} = {text if len(flat) == 1 else f'({text})'}")
    return "".join(told)
