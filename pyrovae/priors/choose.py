"""The prior that an option names."""

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import Field as Option
from pydantic import model_validator
from torch import Tensor, nn
from torch.distributions import Distribution

from pyrovae.config import Config, Named
from pyrovae.data.field import Field
from pyrovae.registry.parts import part, settled

FLAGS = {
    "vamp": {"pseudo_inputs": "pseudo_inputs"},
    "flow": {"steps": "prior_steps", "hidden": "prior_hidden"},
}
"""Options of priors that older flags say, too."""


class PriorConfig(Config):
    """Options of a variant whose p(z) may be learned."""

    prior: Annotated[str, Named("priors")] = Option(
        "standard",
        description="p(z): N(0, I); the guide's mixture over pseudo-inputs (VampPrior); or a flow on N(0, I)",
    )
    pseudo_inputs: int = Option(500, ge=1, le=10**6, description="components of --prior vamp")
    prior_steps: int = Option(4, ge=1, le=10**3, description="couplings of --prior flow")
    prior_hidden: int = Option(64, ge=1, description="width of the layers of --prior flow")

    @model_validator(mode="wrap")
    @classmethod
    def _settle_prior(cls, values: object, read: Callable[[object], Self]) -> Self:
        return settled("priors", values, read, FLAGS)


def prior(
    config: PriorConfig, features: int, posterior: Callable[[Tensor], Distribution], of: Field | int
) -> nn.Module:
    """The module p(z).

    Args:
        config: which one.
        features: dimensions of z.
        posterior: of the guide, what `of` describes -> q(z | .).
        of: what pseudo-inputs look like: a field of the data, or dimensions of the latent below z.

    Raises:
        UsageError: where the user's own code, which is only looked at here, has no such prior.
    """
    flags = FLAGS.get(config.prior.partition(":")[0], {})
    options = {option: getattr(config, flag) for option, flag in flags.items()}
    made: nn.Module = part("priors", config.prior)({"features": features, "posterior": posterior, "of": of}, options)
    return made
