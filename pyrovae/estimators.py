"""What may be set of each estimator of log p(x), and the one place of the defaults; imports no torch.

`pyrovae.evaluation` and `pyrovae.runs` take the same names as keywords, the command line makes options of them.
"""

from typing import Literal, get_args

from pydantic import Field

from pyrovae.config import Config
from pyrovae.errors import MOST

Proposal = Literal["guide", "widened", "refit"]
"""From what an importance estimate draws."""

PROPOSALS: tuple[Proposal, ...] = get_args(Proposal)

Start = Literal["prior", "guide"]
"""Where chains begin, at temperature 0."""


class Importance(Config):
    """Of importance sampling: `pyrovae.evaluation.log_likelihood`."""

    samples: int = Field(1000, ge=1, le=MOST, description="K, samples a datum.")
    chunk: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Samples at once (the draws follow); auto: what fits the memory.  [default: auto]",
    )
    proposal: Proposal = Field(
        "guide", description="What is drawn from: the guide, with a wider scale, or refitted for each datum."
    )
    wider: float = Field(1.5, ge=1, le=100, description="How many times the scale.")
    target_se: float | None = Field(
        None, gt=0, description="Take more samples until error and bias of the mean are at most this, nats."
    )
    max_samples: int = Field(100_000, ge=2, le=MOST, description="And at most so many.")


class Chains(Config):
    """Of annealed importance sampling and of bidirectional Monte Carlo: `pyrovae.evaluation.ais` and `.bdmc`."""

    steps: int = Field(1000, ge=1, le=MOST, description="Temperatures.")
    chains: int = Field(16, ge=1, le=MOST, description="Chains a datum.")
    leapfrog: int = Field(10, ge=1, le=MOST, description="Steps of an HMC move.")
    start: Start = Field("prior", description="Where chains begin.")


class Gaps(Config):
    """Of the inference gap, taken apart: `pyrovae.evaluation.gap`."""

    samples: int = Field(5000, ge=1, le=MOST, description="K of importance sampling.")
    ais_steps: int = Field(
        500, ge=0, le=MOST, description="Temperatures of annealed importance sampling; 0 leaves it out."
    )
    chains: int = Field(16, ge=1, le=MOST, description="Of annealing, a datum.")


IMPORTANCE = Importance()
"""The defaults of importance sampling."""

CHAINS = Chains()
"""The defaults of the chains."""

GAPS = Gaps()
"""The defaults of the gap."""
