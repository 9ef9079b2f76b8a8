"""The likelihood that fits a field of the data."""

from typing import Literal

from pydantic import Field as Option

from pyrovae.config import Config
from pyrovae.data.field import Field
from pyrovae.errors import UsageError
from pyrovae.likelihoods.bernoulli import Bernoulli
from pyrovae.likelihoods.normal import Normal, Scale


class LikelihoodConfig(Config):
    """Options of a variant that generates images or vectors."""

    likelihood: Literal["auto", "bernoulli", "normal", "bce"] = Option(
        "auto",
        description="p(x|z); auto: Bernoulli for binary data, else Normal; "
        "bce: Bernoulli's formula on grayscale, which is no likelihood",
    )
    scale: Scale = Option("learned", description="scale of a Normal: one learned, fixed at --sigma, or one a pixel")
    sigma: float = Option(0.5, gt=0, le=1e6, description="where the scale of a Normal starts, or stays")
    output_bias: Literal["mean", "zero"] = Option(
        "mean", description="where the decoder's output starts: at the mean of the training data, or at 0"
    )


def likelihood(field: Field, config: LikelihoodConfig) -> Bernoulli | Normal:
    """The module h -> p(x | h) for a field; raises UsageError where they do not go together."""
    if field.kind not in ("binary", "unit", "real"):
        raise UsageError(
            f"this pair generates images or vectors, and the data are {field.kind}: "
            f"take other data, or --model textvae for text"
        )
    name, at_mean = config.likelihood, config.output_bias == "mean"
    if name == "auto":
        name = "bernoulli" if field.kind == "binary" else "normal"
    if name == "normal":
        return Normal(field, config.scale, config.sigma, at_mean)
    if field.kind == "real" or (field.kind == "unit" and name == "bernoulli"):
        values = "grayscale (values between 0 and 1)" if field.kind == "unit" else "real numbers"
        raise UsageError(
            f"a Bernoulli scores binary data, and these are {values}: "
            f"binarize them (--binarize dynamic|static|threshold) or take --likelihood normal; "
            f"--likelihood bce is the cross-entropy of grayscale, which is no likelihood"
        )
    return Bernoulli(field, at_mean)
