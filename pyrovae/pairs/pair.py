"""A pair: the generative program p and the inference program q, written in Pyro."""

from collections.abc import Callable, Sequence

import torch
from pyro.poutine.runtime import _PYRO_STACK, effectful
from pyro.poutine.trace_messenger import TraceMessenger
from torch import Tensor, nn


class Pair(nn.Module):
    """A Pyro model p(x, z) and its guide q(z | x), with the names of the fields that both read.

    To write a pair, write two modules whose `forward(*batch)` are Pyro programs:

        class Model(nn.Module):
            def forward(self, x):                                  # p(x, z) = p(z) p(x | z)
                with pyro.plate("data", len(x), dim=-1):
                    z = pyro.sample("z", self.prior())
                    pyro.sample("x", self.likelihood(self.decoder(z)), obs=x)

        class Guide(nn.Module):
            def forward(self, x):                                  # q(z | x)
                with pyro.plate("data", len(x), dim=-1):
                    pyro.sample("z", self.q(self.encoder(x)))

    - A batch is a tuple of tensors, one for each name in `inputs`, with the same first dim B; none is None.
    - Every site stands in the plate "data" at dim -1, and its log_prob has shape (B,).
    - An observed site of the model has the name of its field. Those fields are generated; the others are conditions.
      The model may read the shape of a field that it generates, never its content.
    - The guide samples the latent sites of the model, in any order, and observes nothing. A discrete scalar is summed
      out of the ELBO where it declares `infer={"enumerate": "parallel"}`; a field may show some of its values (a class
      y, of which the field y is -1 where it is not known). `pyro.factor` in the guide with `has_rsample=True` adds a
      training term that is never part of log q.
    - Particle plates come in from the left: networks act on the last dims (`pyrovae.nets.cat` and `fold` help).

    `pyrovae check FILE.py:NAME` tries all of this. `pyro.infer.SVI(pair.model, pair.guide, ...)` works on every pair.

    Args:
        model: the program p.
        guide: the program q.
        inputs: the fields of the data, in the order in which both programs take them.

    Attributes:
        own: whether it is anybody's code: what scores of it assume is tried then, each time. Pairs that pyrovae brings
            are tried by its tests.
    """

    own = True

    def __init__(self, model: nn.Module, guide: nn.Module, inputs: Sequence[str] = ("x",)) -> None:
        super().__init__()
        self.model = model
        self.guide = guide
        self.inputs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        for program in (model, guide):
            if announce not in program._forward_pre_hooks.values():
                program.register_forward_pre_hook(announce)


class NoGuide(nn.Module):
    """The guide of a model without latents."""

    def forward(self, *batch: Tensor) -> None:
        return None


ModelSpec = str | Pair | Callable[..., Pair]
"""What a person hands over as a model: the name of a variant, a pair, or a class or function that gives one."""


class _Announced:
    """What pyro.infer.SVI asks of a param site: the parameter behind it."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self._parameter = parameter

    def unconstrained(self) -> nn.Parameter:
        return self._parameter

    @property
    def shape(self) -> torch.Size:
        """Pyro prints it where a program fails."""
        return self._parameter.shape


def announce(module: nn.Module, _: object) -> None:
    """Shows the parameters of a plain module to pyro.infer.SVI as param sites.

    SVI collects param sites to know what to train. `pyro.module` would put them into the global param store, where the
    second pair of a process collides with the first and does not train. So they are announced under names of their
    own, only while SVI collects (`param_only`), and nothing is stored.
    """
    if not any(isinstance(handler, TraceMessenger) and handler.param_only for handler in _PYRO_STACK):
        return
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            site = effectful(type="param")(lambda *args, _value=parameter, **kwargs: _Announced(_value))
            site(name=f"{id(module)}.{name}")


def first_dim(batch: Sequence[Tensor]) -> int:
    """B, the number of data in a batch."""
    return len(batch[0])
