"""A recipe: everything that determines a fit, as it is written to run.json and read from a TOML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field as Option

from pyrovae import registry
from pyrovae.config import Config, parse, refuse_unknown
from pyrovae.data.options import DataConfig
from pyrovae.errors import UsageError


class TrainConfig(Config):
    """Options of training."""

    epochs: int | None = Option(None, ge=1, description="passes over the training data [default: about 3,000 steps, at least 10]")
    batch_size: int | None = Option(None, ge=1, description="data a step [default: 128, or all where there are fewer]")
    lr: float = Option(1e-3, gt=0, description="learning rate")
    schedule: Literal["constant", "cosine", "linear", "iwae"] = Option("cosine", description="of the learning rate")
    optimizer: Literal["adam", "adamw", "adamax"] = Option("adam", description="fused where torch can")
    adam_eps: float = Option(1e-8, gt=0, description="epsilon of the optimizer")
    weight_decay: float = Option(0.0, ge=0, description="of the optimizer")
    clip: float = Option(0.0, ge=0, description="largest global norm of the gradient; 0 does not clip")
    beta: float = Option(1.0, ge=0, description="weight of the KL term; the printed ELBO is never weighted")
    kl_warmup: float = Option(0.0, ge=0, description="epochs over which the KL weight grows from 0 to beta")
    free_bits: float = Option(0.0, ge=0, description="nats a latent dimension that cost nothing")
    particles: int = Option(1, ge=1, description="draws of z a datum and step, averaged in the ELBO")
    patience: int = Option(0, ge=0, description="stop after so many epochs without a better held-out ELBO; 0 never")
    score_samples: int = Option(200, ge=1, description="importance samples of the log-likelihood at the end")
    score_limit: int = Option(1000, ge=1, description="test data of the log-likelihood at the end, at most")
    seed: int = Option(0, ge=0, lt=2**31, description="of the weights, the shuffling and the noise")
    device: str = Option("auto", description="auto, cpu, cuda, cuda:1 or mps; auto: a GPU when there is one")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is fitted to what, and how.

    Attributes:
        model: name of the variant; None for a Pair that was handed over in Python.
        options: the variant's own options; None for such a Pair.
        guide: spec of the guide family, `iaf:steps=4`; None where the pair has a guide of its own.
        data: name or path of the data; None for tensors that were handed over.
        data_options: options of the data.
        training: options of training.
    """

    model: str | None
    options: Config | None
    guide: str | None
    data: str | None
    data_options: DataConfig
    training: TrainConfig

    @classmethod
    def of(
        cls,
        variant: registry.Variant | None,
        guide: str | None = None,
        data: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """Sorts `settings` into the options of the variant, of the data and of training.

        Raises:
            UsageError: for an unknown setting, a value that does not fit, or a guide where the pair brings its own.
        """
        settings = dict(settings or {})
        own = variant.config if variant else Config
        who = f"model {variant.name}" if variant else "fit"
        known = [*own.model_fields, *TrainConfig.model_fields, *DataConfig.model_fields]
        refuse_unknown(settings, known, who)
        if guide is not None and (variant is None or variant.guide is None):
            raise UsageError(f"guide {guide}: {variant.name if variant else 'this pair'} brings a guide of its own")
        guide = guide or (variant.guide if variant else None)
        if guide is not None:
            registry.family(guide)  # a wrong name or option is told before any data are read

        def mine(config: type[Config]) -> dict[str, Any]:
            return {key: value for key, value in settings.items() if key in config.model_fields}

        return cls(
            model=variant.name if variant else None,
            options=parse(own, mine(own), who) if variant else None,
            guide=guide,
            data=data,
            data_options=parse(DataConfig, mine(DataConfig), "data"),
            training=parse(TrainConfig, mine(TrainConfig), "training"),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "model": self.model,
            "options": self.options and self.options.model_dump(mode="json"),
            "guide": self.guide,
            "data": self.data,
            "data_options": self.data_options.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], variant: registry.Variant | None) -> Recipe:
        """The inverse of `to_json`; `variant` is that of `values["model"]`."""
        return cls(
            model=values["model"],
            options=parse(variant.config, values["options"], f"model {variant.name}") if variant else None,
            guide=values["guide"],
            data=values["data"],
            data_options=parse(DataConfig, values["data_options"], "data"),
            training=parse(TrainConfig, values["training"], "training"),
        )
