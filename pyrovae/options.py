"""Options of training; imports no torch, so that the command line can list them quickly."""

from typing import Annotated, Literal

from pydantic import Field as Option
from pydantic import ValidationError, model_validator

from pyrovae.config import Config, Named, Options
from pyrovae.errors import UsageError, option


def _no_kl(name: str, objective: str, neutral: str) -> str:
    return f"{option('objective', objective)} has no KL term to weigh: set {option(name)} to {neutral}"


def _no_order(name: str, objective: str, neutral: str) -> str:
    return f"{option(name)} is the order of {option('objective', 'renyi')}, not of {objective}: leave it out"


OF_OBJECTIVES = {
    **dict.fromkeys(("beta", "kl_warmup", "kl_start", "kl_cycles", "free_bits", "free_nats", "kl"), _no_kl),
    "alpha": _no_order,
}
"""Options of training that some objectives take, and what is said where another one is given them."""

IN_SPEC = (*OF_OBJECTIVES, "particles")
"""Options of training that may stand in the spec of an objective."""


class TrainConfig(Config):
    """Options of training."""

    epochs: int | None = Option(
        None, ge=1, le=10**9, description="passes over the training data [default: about 3,000 steps, at least 10]"
    )
    batch_size: int | None = Option(
        None, ge=1, le=10**9, description="data a step [default: 128, or all where there are fewer]"
    )
    microbatch: int | None = Option(
        None,
        ge=1,
        description="data at once, at most; the gradients of a step are added up [default: all; fewer where memory "
        "runs out]",
    )
    max_memory: str | None = Option(
        None,
        description="memory that the fit may take, such as 8GB: of a GPU; of a CPU about, with smaller microbatches",
    )
    lr: float = Option(2e-3, gt=0, le=1e30, description="learning rate")
    schedule: Literal["constant", "cosine", "linear", "iwae"] = Option("cosine", description="of the learning rate")
    optimizer: Literal["adam", "adamw", "adamax", "rmsprop"] = Option("adam", description="fused where torch can")
    momentum: float = Option(0.0, ge=0, lt=1, description="of --optimizer rmsprop")
    adam_eps: float = Option(1e-8, gt=0, le=1e30, description="epsilon of the optimizer")
    weight_decay: float = Option(0.0, ge=0, le=1e30, description="of the optimizer")
    clip: float = Option(0.0, ge=0, le=1e30, description="largest global norm of the gradient; 0 does not clip")
    beta: float = Option(1.0, ge=0, le=1e30, description="weight of the KL term; the printed ELBO is never weighted")
    kl_warmup: float = Option(0.0, ge=0, le=1e30, description="epochs over which the KL weight grows to beta")
    kl_start: float = Option(0.0, ge=0, lt=1, description="share of beta at which the KL warm-up starts")
    kl_cycles: int = Option(
        1,
        ge=1,
        le=10**9,
        description="times that the KL warm-up runs: equal cycles of training, each starting anew",
    )
    free_bits: float = Option(0.0, ge=0, le=1e30, description="nats a latent dimension that cost nothing")
    free_nats: float = Option(0.0, ge=0, le=1e30, description="nats of all latents together that cost nothing")
    kl: Literal["sampled", "analytic"] = Option(
        "sampled", description="the KL term of the drawn z, or in closed form for the latents that have one"
    )
    objective: Annotated[str, Named("objectives")] = Option(
        "elbo", description="what is maximised; renyi:alpha=0.5 is renyi with --alpha 0.5"
    )
    alpha: float | None = Option(
        None, ge=-1e6, le=1e6, description="order of --objective renyi: 0 is the bound of iwae, towards 1 the ELBO"
    )
    particles: int = Option(
        1, ge=1, le=10**9, description="draws of z a datum and step: averaged by elbo and stl, K of the bounds"
    )
    aggressive: int = Option(
        0,
        ge=0,
        le=10**6,
        description="steps of the guide before each of the model, at most, until the guide keeps up; 0: both at once",
    )
    patience: int = Option(
        0, ge=0, le=10**9, description="stop after so many epochs without a better held-out ELBO; 0 never"
    )
    precision: Literal["32", "tf32", "bf16"] = Option(
        "32", description="of matrix products while training; the rest, and all scores, are in float32"
    )
    compile: bool | None = Option(
        None,
        description="compile the training steps; --no-compile runs eager Pyro [default: where it is won back]",
    )
    score_samples: int = Option(200, ge=1, le=10**9, description="importance samples of the log-likelihood at the end")
    score_limit: int = Option(
        1000, ge=1, le=10**9, description="test data of the log-likelihood at the end, at most, evenly spaced"
    )
    max_skipped: int = Option(
        50, ge=1, description="stop after so many steps in a row whose loss or gradients are not finite"
    )
    checkpoint_every: str = Option(
        "60s",
        pattern=r"^\d{1,9}s?$",
        description="steps between checkpoints, or seconds with an s; 0: only where training stops",
    )
    seed: int = Option(0, ge=0, lt=2**31, description="of the weights, the shuffling and the noise")
    device: str = Option("auto", description="auto, cpu, cuda, cuda:1 or mps; auto: a GPU when there is one")

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, values: Options) -> Options:
        """`renyi:alpha=0.5` becomes `renyi` and `alpha = 0.5`, so that both ways to say it are one from here on."""
        spec = values.get("objective")
        if not isinstance(spec, str) or "=" not in spec:
            return values
        kept, told = list[str](), dict[str, str]()
        for part in spec.split(":"):
            name, equals, text = part.partition("=")
            if not equals or name not in IN_SPEC:
                kept.append(part)  # the name, or an option that the objective alone has
                continue
            if name in told:
                raise UsageError(f"objective {spec}: an option is given twice: give it once")
            told[name] = text
            if name in values and not cls._same(name, values[name], text):
                raise UsageError(
                    f"{option('objective', spec)} and {option(name, values[name])} disagree: give {name} once, in one "
                    f"of them"
                )
        return values | told | {"objective": ":".join(kept)}

    @classmethod
    def _same(cls, name: str, value: object, text: str) -> bool:
        """Whether both are one value of this option; not where one of them is no value of it."""
        try:
            return bool(getattr(cls(**{name: value}), name) == getattr(cls(**{name: text}), name))
        except ValidationError:
            return False
