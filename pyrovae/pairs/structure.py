"""What the sites of a pair are, found by running it once, and what is refused of them."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from pyrovae.errors import PyrovaeError, first_line, is_out_of_memory, option
from pyrovae.pairs.modes import scoring
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.supports import is_normalised
from pyrovae.pairs.traces import Site, Trace, draw, sites

AMISS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError)
"""What torch and Pyro raise where shapes and types do not go together; what else a program raises is its own."""


AN_EVENT = "end the distribution of a site with .to_event(n), so that its log_prob is one value a datum"


@contextlib.contextmanager
def running(pair: Pair, batch: Sequence[Tensor]) -> Iterator[None]:
    """Raises PyrovaeError with the shapes of the data where the programs of a pair do not run on them."""
    try:
        yield
    except AMISS as error:
        if is_out_of_memory(error) or isinstance(error, PyrovaeError):
            raise
        of = zip(pair.inputs, batch, strict=False)
        shapes = ", ".join(f"{name} {tuple(tensor.shape[1:])}" for name, tensor in of)
        what = f"{type(error).__name__}: {first_line(error)}"
        cure = "give data of the shapes that its programs read, or mend these"
        if "inside plate" in what:  # what Pyro says of a distribution of more dims than the plate has
            cure = f"{AN_EVENT}, or {cure}"
        raise PyrovaeError(f"the pair does not run on these data, whose shapes are {shapes}: {what}; {cure}") from error


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
        weighed: sites whose log-probability a handler scales or masks, with what it does: `scale 0.1`.
        stored: what stands in Pyro's param store and is no parameter of the pair.
        unnormalised: observed sites of the model whose score is no log-probability (`supports.is_normalised`).
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
    weighed: dict[str, str]
    stored: list[str]
    unnormalised: list[str]


def structure(pair: Pair, batch: Sequence[Tensor]) -> Structure:
    """Reads the structure of a pair off one pair of traces; draws from torch's generator, leaves weights alone."""
    with scoring(pair):
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
        weighed={
            name: how
            for name, site in every
            if (how := _weighed(site)) and not (site["is_observed"] and site["infer"].get("is_auxiliary"))
        },
        stored=_stored(pair, p, q),
        unnormalised=[name for name, site in sites(p, observed=True).items() if not is_normalised(site["fn"])],
    )


def _weighed(site: Site) -> str:
    """What a handler (`pyro.poutine.scale`, `pyro.poutine.mask`, a plate with a subsample) does to the log-probability
    of a site; empty where it is as the distribution gives it."""
    scale, mask = site["scale"], site["mask"]
    if isinstance(scale, Tensor):
        return "a scale that is a tensor"
    if scale != 1:
        return f"scale {scale:g}"
    return "" if mask is None or mask is True else "a mask"


def _stored(pair: Pair, *both: Trace) -> list[str]:
    """Of `pyro.param`: a value that no optimizer of ours sees, and no file of a run holds."""
    own = {id(parameter) for parameter in pair.parameters()}
    found = {
        name: site["value"]
        for trace in both
        for name, site in trace.nodes.items()
        if site["type"] == "param" and isinstance(site["value"], Tensor)
    }
    leaf = {name: getattr(value, "unconstrained", lambda value=value: value)() for name, value in found.items()}
    return sorted(name for name, value in leaf.items() if id(value) not in own)


def require_per_datum(pair: Pair, batch: Sequence[Tensor], what: str) -> Structure:
    """Refuses a pair that has no weight of its own for each datum; raises PyrovaeError that names the sites."""
    with running(pair, batch):
        found = structure(pair, batch)
    refuse_missing(found)
    refuse_weighed(found)
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


def refuse_weighed(found: Structure) -> None:
    """Raises PyrovaeError where a handler changes the log-probability of a site: the sum is then no log p(x, z) or
    log q(z | x), and what is computed of it no ELBO and no log-likelihood. And for values in Pyro's param store."""
    for name, how in found.weighed.items():
        weights = " or ".join(option(each, command="fit") for each in ("beta", "kl_warmup"))
        raise PyrovaeError(
            f"site '{name}' stands under {how}, so that its log-probability is not that of its distribution: leave the "
            f"handler out; a weight of the KL is {weights}, and what is missing is "
            f"masked inside the distribution, dist.Normal(...).mask(there).to_event(1)"
        )
    if found.stored:
        raise PyrovaeError(
            f"pyro.param('{found.stored[0]}') stands in Pyro's global store, where it is neither trained nor saved: "
            f"make it an nn.Parameter of the model or the guide"
        )


def refuse_shapes(shapes: Mapping[str, tuple[int, ...]], B: int) -> None:
    """Raises PyrovaeError for the first of the sites whose log_prob is not of shape (B,)."""
    for name, shape in shapes.items():
        raise PyrovaeError(
            f"site '{name}' has log_prob of shape {shape}, one value a datum would be ({B},): "
            f"add .to_event(n) for the dims of one datum"
        )
