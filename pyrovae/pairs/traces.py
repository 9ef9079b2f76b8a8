"""The two traces of a pair: everything that trains, scores, samples and pictures it is computed from them."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast, final

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn

from pyrovae.errors import PyrovaeError
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.runtime.turns import Shared, between

Site = dict[str, Any]
Trace = poutine.Trace
Program = Callable[..., Any]


class Fixed(Messenger):
    """Latent sites take the given values and stay latent, so that p and q both score them.

    (`poutine.condition` would make them observed, and `uncondition` outside of it would draw them anew.)
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg: Site) -> None:
        if not msg["is_observed"] and msg["name"] in self.values:
            msg["value"], msg["done"] = self.values[msg["name"]], True


@final
class unvalidated(Shared):  # noqa: N801  a context, named as one reads it
    """Pyro's validation off: it looks at values, which costs a host sync a site."""

    def put(self) -> None:
        self.context = pyro.validation_enabled(False)
        self.context.__enter__()

    def back(self) -> None:
        self.context.__exit__(None, None, None)


def particles(program: Program, K: int | None) -> Program:
    """`program` in a plate of K particles at dim -2; itself where K is None."""
    if K is None:
        return program

    def wrapped(*batch: Tensor) -> Any:
        with pyro.plate("particles", K, dim=-2):
            return program(*batch)

    return wrapped


def sites(trace: poutine.Trace, observed: bool | None = None) -> dict[str, Site]:
    """The sample sites of a trace by name, in their order: all, the observed or the latent ones."""
    return {
        name: cast(Site, site)
        for name, site in trace.nodes.items()
        if site["type"] == "sample"
        and not site_is_subsample(site)
        and not (site["infer"] or {}).get("_deterministic")
        and (observed is None or observed == site["is_observed"])
    }


def draw(program: Program, batch: Sequence[Tensor], values: Mapping[str, Tensor] | None = None) -> poutine.Trace:
    """One trace of a program, with some latent sites at given values."""
    return poutine.trace(Fixed(values or {})(program)).get_trace(*batch)


def traces(
    pair: Pair,
    batch: Sequence[Tensor],
    K: int | None = None,
    values: Mapping[str, Tensor] | None = None,
    enumerate: bool = False,
) -> tuple[poutine.Trace, poutine.Trace]:
    """The traces (p, q) of one draw z ~ q, or of `values`, with every log_prob computed: (B,), or (K, B) with K.

    With `enumerate`, the sites of the guide that declare `infer={"enumerate": "parallel"}` are not drawn: they take all
    their values, each along a dim of its own on the left (`pyrovae.objectives.enumeration.Expectation` sums them out).
    """
    guide = particles(pair.guide, K)
    if enumerate:
        guide = poutine.enum(guide, first_available_dim=-2 if K is None else -3)
    q = draw(guide, batch, values)
    p = poutine.trace(poutine.replay(particles(pair.model, K), trace=q)).get_trace(*batch)
    q.compute_log_prob()
    p.compute_log_prob()
    return p, q


def log_joint(model: Program, batch: Sequence[Tensor], values: Mapping[str, Tensor], K: int | None = None) -> Tensor:
    """log p(x, z) in nats at given latents, (K, B), or (B,) without K."""
    p = poutine.trace(Fixed(values)(particles(model, K))).get_trace(*batch)
    p.compute_log_prob()
    total = torch.zeros((), device=batch[0].device)
    for site in sites(p).values():
        total = total + site["log_prob"]
    # Without a latent site nothing carries the particle dim: K equal values.
    return total.expand(first_dim(batch) if K is None else (K, first_dim(batch)))


def log_weights(
    pair: Pair,
    batch: Sequence[Tensor],
    K: int | None = None,
    values: Mapping[str, Tensor] | None = None,
    guide: Program | None = None,
) -> Tensor:
    """log p(x, z) - log q(z | x) in nats, (K, B), or (B,) without K; `pyro.factor` in the guide is no part of q.

    `guide` is another program in the place of the pair's own.
    """
    q = draw(particles(guide or pair.guide, K), batch, values)
    q.compute_log_prob()
    latent = sites(q, observed=False)
    weight = log_joint(pair.model, batch, {name: site["value"] for name, site in latent.items()}, K)
    for site in latent.values():
        weight = weight - site["log_prob"]
    return weight


def is_local(site: Site) -> bool:
    """Whether a site stands in the plate "data" at dim -1."""
    return any((frame.name, frame.dim) == ("data", -1) for frame in site["cond_indep_stack"])


@dataclasses.dataclass(frozen=True)
class Structure:
    """What the sites of a pair are: asked by objectives and estimators before they trust it, printed by `check`.

    Attributes:
        latent: latent sites of the model, in its order.
        generated: observed sites of the model that are fields; the other fields are conditions.
        unnamed: observed sites of the model that are no field.
        outside: sites that stand outside the plate "data".
        shapes: sites whose log_prob is not of shape (B,), with the shape they have.
        missing: latent sites that only one of model and guide has.
        misshapen: latent sites whose event shape in the model is not that in the guide, with both.
        enumerated: guide sites that declare `infer={"enumerate": "parallel"}`: the ELBO sums them out.
        endless: those of them that have no finite list of values to sum over.
        score: guide sites without a reparametrized sample, enumerated or not.
        guide_observes: sites that the guide observes.
    """

    latent: list[str]
    generated: list[str]
    unnamed: list[str]
    outside: list[str]
    shapes: dict[str, tuple[int, ...]]
    missing: list[str]
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    enumerated: list[str]
    endless: list[str]
    score: list[str]
    guide_observes: list[str]


def structure(pair: Pair, batch: Sequence[Tensor]) -> Structure:
    """Reads the structure of a pair off one pair of traces; draws from torch's generator, leaves weights alone."""
    with torch.no_grad(), unvalidated(), evaluating(pair):
        # Not replayed: Pyro raises where the guide observes a latent site of the model, which is to be told here.
        q, p = draw(pair.guide, batch), draw(pair.model, batch)
        q.compute_log_prob()
        p.compute_log_prob()
    latent, in_model, B = sites(q, observed=False), sites(p, observed=False), first_dim(batch)
    every = [(name, site) for trace in (p, q) for name, site in sites(trace).items()]
    enumerated = [name for name, site in latent.items() if site["infer"].get("enumerate") == "parallel"]
    return Structure(
        latent=list(in_model),
        generated=[name for name in sites(p, observed=True) if name in pair.inputs],
        unnamed=[name for name in sites(p, observed=True) if name not in pair.inputs],
        outside=sorted({name for name, site in every if not is_local(site)}),
        shapes={name: tuple(site["log_prob"].shape) for name, site in every if tuple(site["log_prob"].shape) != (B,)},
        missing=sorted(set(in_model) ^ set(latent)),
        misshapen={
            name: (tuple(site["fn"].event_shape), tuple(latent[name]["fn"].event_shape))
            for name, site in in_model.items()
            if name in latent and site["fn"].event_shape != latent[name]["fn"].event_shape
        },
        enumerated=enumerated,
        endless=[
            name
            for name in enumerated
            if not latent[name]["fn"].has_enumerate_support or latent[name]["infer"].get("num_samples") is not None
        ],
        score=[name for name, site in latent.items() if not site["fn"].has_rsample],
        guide_observes=[
            name for name, site in sites(q, observed=True).items() if not site["infer"].get("is_auxiliary")
        ],
    )


def require_per_datum(pair: Pair, batch: Sequence[Tensor], what: str) -> Structure:
    """Refuses a pair that has no weight of its own for each datum; raises PyrovaeError that names the sites."""
    found = structure(pair, batch)
    refuse_missing(found)
    if found.outside:
        raise PyrovaeError(
            f"{what} needs one weight a datum, and sites {found.outside} stand outside plate 'data': "
            f"move them into pyro.plate('data', len(x), dim=-1)"
        )
    refuse_shapes(found.shapes, first_dim(batch))
    return found


def refuse_missing(found: Structure) -> None:
    """Raises PyrovaeError where model and guide have not the same latent sites, of the same shapes."""
    if found.missing:
        raise PyrovaeError(
            f"latent sites {found.missing} stand in only one of model and guide: give both the same sites"
        )
    for name, (model, guide) in found.misshapen.items():
        raise PyrovaeError(
            f"site '{name}' has event shape {model} in the model and {guide} in the guide: set its dimensions to the "
            f"same value in both"
        )


def refuse_shapes(shapes: Mapping[str, tuple[int, ...]], B: int) -> None:
    """Raises PyrovaeError for the first of the sites whose log_prob is not of shape (B,)."""
    for name, shape in shapes.items():
        raise PyrovaeError(
            f"site '{name}' has log_prob of shape {shape}, one value a datum would be ({B},): "
            f"add .to_event(n) for the dims of one datum"
        )


@final
class evaluating(Shared):  # noqa: N801  a context, named as one reads it
    """The modules in eval mode inside, each submodule back in its own mode afterwards."""

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = modules

    def put(self) -> None:
        self.modes = [(part, part.training) for module in self.modules for part in module.modules()]
        for module in self.modules:
            module.eval()

    def back(self) -> None:
        for part, mode in self.modes:
            part.training = mode


def rows(batch: Sequence[Tensor], size: int) -> Iterator[tuple[Tensor, ...]]:
    """A batch in pieces of `size` data, the last one short; between two of them other threads may go on."""
    for start in range(0, first_dim(batch), size):
        between()
        yield tuple(tensor[start : start + size] for tensor in batch)
