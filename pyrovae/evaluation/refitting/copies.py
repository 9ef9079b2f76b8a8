"""A guide with parameters of its own for each datum: which parameters these are, and draws from all of them at once."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call, vmap
from torch.overrides import TorchFunctionMode

from pyrovae.lowering import slots
from pyrovae.pairs.pair import Pair, first_dim
from pyrovae.pairs.traces import Site, draw, particles, sites

One = Callable[[Mapping[str, Tensor], tuple[Tensor, ...], int], tuple[dict[str, Tensor], Tensor]]
"""(parameters, what stands for one datum, K) -> values of the latents (K, *event), log q (K,)."""


@dataclasses.dataclass(frozen=True)
class Copied:
    """What each datum has of its own.

    Attributes:
        one: draws for one datum.
        inputs: what stands for the data, N rows each: the features of a family, or the batch.
        parameters: from which values the copies start, by name.
        rates: how many times the learning rate each is trained by, 1 where nothing stands here.
    """

    one: One
    inputs: tuple[Tensor, ...]
    parameters: dict[str, Tensor]
    rates: dict[str, float] = dataclasses.field(default_factory=dict)


def draw_each(
    one: One, parameters: Mapping[str, Tensor], inputs: tuple[Tensor, ...], K: int
) -> tuple[dict[str, Tensor], Tensor]:
    """K draws for each datum by its own parameters, (N, ...) each: values (K, N, *event) and log q (K, N)."""
    with OwnMemory(), warnings.catch_warnings():
        # Where vmap has no rule for an operation it goes datum by datum, which is slow and right.
        warnings.filterwarnings("ignore", message="There is a performance drop")
        values, log_q = vmap(lambda own, of: one(own, of, K), randomness="different")(dict(parameters), inputs)
    return {name: value.transpose(0, 1) for name, value in values.items()}, log_q.T


def copied(pair: Pair, batch: tuple[Tensor, ...]) -> Copied:
    """Which parameters of the guide each datum of a batch gets a copy of.

    Where one module makes the distribution of the one latent site from features (`forward(h) -> Distribution`, as
    every guide family does), they are that module's; else all of the guide's. Of a linear layer that reads the
    features and nothing else, the bias is enough: h of a datum stays what it is, so that W h + b is whatever b makes
    it. It is trained as fast as W and b together would move that.
    """
    with torch.no_grad(), called_in(pair.guide) as calls:
        latent = sites(draw(pair.guide, batch), observed=False)
    (name, site), *others = latent.items()
    made = [call for call in calls if isinstance(call.out, Distribution)]
    # A module without parameters, of what an encoder gives, leaves nothing to refit but the encoder.
    if made and not others and _is_of(made[-1], site, first_dim(batch)) and _own(made[-1].module):
        family, h = made[-1].module, made[-1].features
        assert h is not None

        def of_family(own: Mapping[str, Tensor], of: tuple[Tensor, ...], K: int) -> tuple[dict[str, Tensor], Tensor]:
            q: Distribution = functional_call(family, _slotted(family, own), of, tie_weights=False)
            z = q.rsample((K,))
            return {name: z}, q.log_prob(z)

        parameters, redundant = _own(family), _readers(family, calls, h)
        biases = {id(layer.bias) for layer in redundant}
        weights = {id(layer.weight) for layer in redundant}
        faster = 1 + float(h.abs().sum(-1).mean())
        return Copied(
            of_family,
            (h.detach(),),
            {key: value for key, value in parameters.items() if id(value) not in weights},
            {key: faster for key, value in parameters.items() if id(value) in biases},
        )

    def of_guide(own: Mapping[str, Tensor], of: tuple[Tensor, ...], K: int) -> tuple[dict[str, Tensor], Tensor]:
        def program(*batch: Tensor) -> object:
            return functional_call(pair.guide, _slotted(pair.guide, own), batch, tie_weights=False)

        trace = draw(particles(program, K), [tensor.unsqueeze(0) for tensor in of])
        trace.compute_log_prob()
        found = sites(trace, observed=False)
        log_q = sum(site["log_prob"] for site in found.values())
        assert isinstance(log_q, Tensor)
        return {name: _of_one(site, K) for name, site in found.items()}, log_q.expand(K, 1)[:, 0]

    return Copied(of_guide, batch, _own(pair.guide))


def _readers(family: nn.Module, calls: list[Call], h: Tensor) -> list[nn.Linear]:
    """Linear layers of a family with a bias that read h and nothing else, and whose weights stand in no other place."""
    places = [id(owner[key]) for owner, key in slots(family).values()]
    read: dict[nn.Linear, list[bool]] = {}
    inside = set(family.modules())
    for call in calls:
        if type(call.module) is nn.Linear and call.module in inside:
            read.setdefault(call.module, []).append(call.features is h)
    return [
        layer
        for layer, reads in read.items()
        if all(reads) and layer.bias is not None and places.count(id(layer.weight)) == places.count(id(layer.bias)) == 1
    ]


def _of_one(site: Site, K: int) -> Tensor:
    """The value of a site for one datum, (K, *event)."""
    event = site["fn"].event_shape
    value: Tensor = site["value"]
    return value.expand(K, 1, *event)[:, 0]


def _own(module: nn.Module) -> dict[str, Tensor]:
    """The parameters of a module that are trained, each once."""
    found = {id(owner[key]): (name, owner[key]) for name, (owner, key) in reversed(slots(module).items())}
    return {name: tensor for name, tensor in reversed(found.values()) if isinstance(tensor, nn.Parameter)}


def _slotted(module: nn.Module, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Values by name -> values for every slot of the module, tied ones under each of their names."""
    by_id = {id(owner[key]): own[name] for name, (owner, key) in slots(module).items() if name in own}
    return {name: by_id[id(owner[key])] for name, (owner, key) in slots(module).items() if id(owner[key]) in by_id}


class Call(NamedTuple):
    """A module, the tensor it was called with where that was all it got, and what it gave."""

    module: nn.Module
    features: Tensor | None
    out: Any


@contextmanager
def called_in(guide: nn.Module) -> Iterator[list[Call]]:
    """The calls of submodules of a guide, in the order in which they end."""
    calls: list[Call] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, object], out: Any) -> None:
        if module is not guide:
            alone = len(args) == 1 and not kwargs and isinstance(args[0], Tensor)
            calls.append(Call(module, args[0] if alone else None, out))

    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in guide.modules()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _is_of(made: Call, site: Site, B: int) -> bool:
    """Whether the distribution of a site is that which a module made of the features of the B data."""
    if made.features is None or made.features.shape[:1] != (B,) or made.out.batch_shape != (B,):
        return False
    if made.out.event_shape != site["fn"].event_shape:
        return False
    value = site["value"].detach().clone()
    with torch.no_grad():
        return torch.allclose(made.out.log_prob(value), site["fn"].log_prob(value), equal_nan=True)


class OwnMemory(TorchFunctionMode):
    """Empty memory is a datum's own: inside vmap, torch draws noise into no other."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func in (torch.empty, torch.empty_like, Tensor.new, Tensor.new_empty):
            made = func(*args, **(kwargs or {}))
            return torch.rand(made.shape, dtype=made.dtype, device=made.device) if made.is_floating_point() else made
        return func(*args, **(kwargs or {}))
