"""A function of tensors that runs Pyro, traced once into a graph of torch operations."""

from __future__ import annotations

import copy
import itertools
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import flop_registry

from pyrovae.lowering import products
from pyrovae.lowering.interpreter import interpreted
from pyrovae.lowering.nested import Nested, flat, rebuilder
from pyrovae.pairs.modes import unvalidated

Function = Callable[..., Any]
"""What is lowered: takes and gives tensors, also nested ones."""

Place = tuple[dict[str, Any], str]
"""Where a module keeps a tensor: the dict that owns it, and the key in it."""

FOLLOWS = "its operations or shapes follow the values of the data"


class CannotLowerError(Exception):
    """Why a function cannot be traced, in words that follow "because"."""


def slots(module: nn.Module) -> dict[str, Place]:
    """Where a module keeps its parameters and buffers, by name: the dict that owns each, and the key in it.

    A module that is registered twice counts once (`functional_call` over both names would leave its own tensors in
    the module), a tensor that two modules share has a slot in each.
    """
    return {
        f"{path}.{key}" if path else key: (owner, key)
        for path, part in module.named_modules()
        for owner in (part._parameters, part._buffers)
        for key, tensor in owner.items()
        if tensor is not None
    }


class Lowered:
    """`function` as a graph, for arguments of the shapes of an example; Pyro runs only while it is traced.

    Parameters and buffers are inputs of the graph, read from the module at every call; noise is drawn anew at every
    call, the same as `function` draws from the same generator; buffers that `function` moves are moved. Anything else
    that `function` reads (a Python number, an attribute) is as it was at the trace: what changes must be a tensor
    among the arguments.

    Args:
        module: whose parameters and buffers `function` reads.
        function: of tensors (in tuples or dicts), gives tensors (in tuples or dicts). It may take gradients.
        example: arguments; only shapes, dtypes and devices matter.

    Raises:
        CannotLowerError: where the operations follow the data.
    """

    def __init__(self, module: nn.Module, function: Function, *example: Nested) -> None:
        self.module = module
        self.function = function
        places = slots(module)
        first: dict[int, int] = {}
        self.places: list[tuple[dict[str, Any], str]] = []
        self.index: dict[str, int] = {}
        for name, (owner, key) in places.items():
            tensor = owner[key]
            if id(tensor) not in first:
                first[id(tensor)] = len(self.places)
                self.places.append((owner, key))
            self.index[name] = first[id(tensor)]
        leaves, self.given = flat(example), rebuilder(example)
        self.form = [(leaf.shape, leaf.dtype) for leaf in leaves]
        self.grad = torch.is_grad_enabled()
        self.graph = self._traced(leaves)
        self.run: Callable[..., Any] = self.graph.forward
        on_cpu = leaves[0].device.type == "cpu"
        self.products = products.place(self.graph, self.flops()) if on_cpu else nullcontext()

    def __call__(self, *arguments: Nested) -> Nested:
        """What `function` gives; arguments of other shapes run `function` itself."""
        given = flat(arguments)
        if [(leaf.shape, leaf.dtype) for leaf in given] != self.form:
            return self._itself(*arguments)
        with torch.no_grad(), self.products:
            out: Nested = self.rebuild(iter(self.run(*self.tensors(), *given)))
            return out

    def _itself(self, *arguments: Nested) -> Nested:
        """`function`; a buffer that it binds anew is copied into the one that was there, which a graph may hold."""
        before = self.tensors()
        out: Nested = self.function(*arguments)
        with torch.no_grad():
            for (owner, key), tensor in zip(self.places, before, strict=True):
                if owner[key] is not tensor:
                    owner[key] = tensor.copy_(owner[key])
        return out

    def tensors(self) -> list[Tensor]:
        """Parameters and buffers, each once."""
        return [owner[key] for owner, key in self.places]

    def interpret(self, *example: Nested) -> None:
        """Takes Python from between the operations; see `interpreted`.

        Raises:
            CannotLowerError: where that fails; the graph is run as it was before.
        """
        try:
            with _quiet():
                self.run = interpreted(self.graph, self._copies(example))
        except Exception as error:
            raise CannotLowerError(_first_line(error)) from error

    def _copies(self, example: Nested) -> list[Any]:
        """Inputs of the graph, not the tensors themselves: buffers would move."""
        return [tensor.detach().clone() for tensor in [*self.tensors(), *flat(example)]]

    def compile(self, *example: Nested) -> None:
        """Gives the graph to inductor.

        Raises:
            CannotLowerError: where inductor fails; the graph is run as it was before.
        """
        inputs = self._copies(example)
        try:
            with torch.no_grad(), _quiet():
                # With fallback_random, noise is that of eager torch.
                run = torch._inductor.compile(copy.deepcopy(self.graph), inputs, {"fallback_random": True})
                run(*inputs)  # the last of it is compiled by the first call
        except Exception as error:
            raise CannotLowerError(_first_line(error)) from error
        self.run = run

    def flops(self) -> int:
        """Floating-point operations of the products of one call, by the shapes alone."""
        return sum(self._flops(node) for node in self.graph.graph.nodes)

    def _flops(self, node: fx.Node) -> int:
        count = flop_registry.get(getattr(node.target, "_overloadpacket", None))
        if count is None:
            return 0
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self._value)
        flops: int = count(*args, **kwargs, out_val=node.meta["val"])
        return flops

    def _value(self, node: fx.Node) -> Any:
        """What a node gave at the trace: tensors without numbers, where it is no constant."""
        return getattr(self.graph, str(node.target)) if node.op == "get_attr" else node.meta["val"]

    def _traced(self, leaves: list[Tensor]) -> fx.GraphModule:
        call = _Call(self.module, self.function)

        def body(*inputs: Tensor) -> list[Tensor]:
            own, arguments = inputs[: len(self.places)], inputs[len(self.places) :]
            fresh = [
                tensor.detach().requires_grad_(owner[key].requires_grad)
                for tensor, (owner, key) in zip(own, self.places, strict=True)
            ]
            named = {f"module.{name}": fresh[i] for name, i in self.index.items()}
            with unvalidated(), torch.set_grad_enabled(self.grad):
                result = functional_call(call, named, self.given(iter(arguments)), tie_weights=False)
            for name, i in self.index.items():
                if named[f"module.{name}"] is not fresh[i]:  # a buffer that was bound anew
                    own[i].copy_(named[f"module.{name}"])
            self.rebuild = rebuilder(result)
            return [tensor.detach() for tensor in flat((result,))]

        try:
            with _quiet():
                traced = make_fx(body, tracing_mode="fake")(*(tensor.detach() for tensor in self.tensors()), *leaves)
        except Exception as error:
            raise CannotLowerError(_reason(error)) from error
        if any(
            isinstance(node.meta.get("val"), torch.SymInt | torch.SymFloat | torch.SymBool)
            for node in traced.graph.nodes
        ):
            raise CannotLowerError(FOLLOWS)
        return _shortened(traced)


class _Call(nn.Module):
    """A function as the forward of a module that holds another, for `functional_call`."""

    def __init__(self, module: nn.Module, function: Function) -> None:
        super().__init__()
        self.module = module
        self.function = function

    def forward(self, *arguments: object) -> object:
        return self.function(*arguments)


def _shortened(traced: fx.GraphModule) -> fx.GraphModule:
    """Without what is computed for nobody (Pyro's plates and shapes), and without aliases: each costs microseconds.
    Views are left to reshape, which copies where there is no view."""
    aten, graph = torch.ops.aten, traced.graph
    for node in graph.nodes:
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or not isinstance(node.meta.get("val"), Tensor):
            continue
        same = node.target in (aten.detach.default, aten.alias.default)
        if node.target in (aten.expand.default, aten.view.default):
            same = node.meta["val"].shape == source.meta["val"].shape
        if node.target is aten.t.default and source.target is aten.t.default:
            same, source = True, source.args[0]
        if same:
            node.replace_all_uses_with(source)
        elif node.target is aten.view.default:
            # A kernel may lay its result out otherwise than a fake tensor says: that of softplus's gradient does.
            node.target = aten.reshape.default
    graph.eliminate_dead_code()
    traced.recompile()
    return traced


def _reason(error: Exception) -> str:
    """In words, for what is known to raise while a graph is traced."""
    kind, text = type(error).__name__, str(error)
    if kind in ("DataDependentOutputException", "GuardOnDataDependentSymNode", "DynamicOutputShapeException"):
        return FOLLOWS
    if "to fake" in text or "FakeTensor" in text or "fake tensor" in text.lower():
        return "it reads a tensor that is neither parameter nor buffer (register_buffer makes it one)"
    return f"torch cannot trace it ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    text = next(itertools.chain((line.strip() for line in str(error).splitlines() if line.strip()), [""]))
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of torch about its own modules, and without what they log about a missing CUDA."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
