"""The likelihood that an option names, of a field of the data."""

from collections.abc import Callable
from typing import Annotated, Literal, Protocol, Self

import pyro.distributions as dist
from pydantic import Field as Option
from pydantic import model_validator
from torch import Tensor

from pyrovae.config import Config, Named
from pyrovae.data.field import Field
from pyrovae.errors import UsageError, option
from pyrovae.likelihoods.normal import Scale, Sigma
from pyrovae.registry.parts import part, settled

FLAGS = {name: {"scale": "scale", "sigma": "sigma"} for name in ("auto", "normal")}
"""Options of likelihoods that older flags say, too."""


class LikelihoodConfig(Config):
    """Options of a variant that generates images or vectors."""

    likelihood: Annotated[str, Named("likelihoods")] = Option(
        "auto",
        description="p(x|z); auto: Bernoulli for binary data, else Normal; "
        "bce: Bernoulli's formula on grayscale, which is no likelihood",
    )
    scale: Scale = "learned"
    sigma: Sigma = 0.5
    output_bias: Literal["mean", "zero"] = Option(
        "mean", description="where the decoder's output starts: at the mean of the training data, or at 0"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _settle_likelihood(cls, values: object, read: Callable[[object], Self]) -> Self:
        return settled("likelihoods", values, read, FLAGS)


class Likelihood(Protocol):
    """What a variant gets: a module; see `pyrovae.likelihoods`."""

    outputs: int

    def __call__(self, h: Tensor, mask: Tensor | None = None) -> dist.TorchDistribution: ...

    def bias(self, field: Field) -> Tensor | None: ...


def likelihood(field: Field, config: LikelihoodConfig) -> Likelihood:
    """The module h -> p(x | h) for a field; raises UsageError where they do not go together."""
    if field.kind not in ("binary", "unit", "real"):
        raise UsageError(
            f"this pair generates images or vectors, and the data are {field.kind}: "
            f"take other data, or {option('model', 'textvae')} for text"
        )
    spec, at_mean = config.likelihood, config.output_bias == "mean"
    found = part("likelihoods", spec)
    if not at_mean and not found.takes("at_mean"):
        lacking = option("output_bias", "zero")
        raise UsageError(f"likelihood {spec} takes no at_mean, so it has no {lacking}: leave that out")
    flags = {name: getattr(config, flag) for name, flag in FLAGS.get(spec.partition(":")[0], {}).items()}
    made: Likelihood = found({"field": field, "at_mean": at_mean}, flags)
    if lacks := [name for name in ("outputs", "bias") if not hasattr(made, name)]:
        raise UsageError(
            f"likelihood {spec} gives a {type(made).__name__} without '{lacks[0]}': see pyrovae.likelihoods"
        )
    return made
