"""What a person may set about the data; imports no torch, so that the command line can list it quickly."""

from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from pyrovae.config import Config
from pyrovae.errors import UsageError, option

Layout = Literal["image", "given"]
"""Which axes arrays get."""


class Source(NamedTuple):
    """A named data set: `target` is `"module:function"`, a function `(DataConfig) -> anything that load() takes`."""

    target: str
    summary: str
    kind: str


class DataConfig(Config):
    """Options of every data set; one that a data set has no use for (a vocabulary, for images) is left alone."""

    data_root: Path | None = Field(default=None, description="folder that holds the data sets [default: data]")
    download: bool = Field(default=False, description="fetch missing files into the data root")
    binarize: Literal["auto", "dynamic", "static", "threshold", "none"] = Field(
        default="auto",
        description="pixels to 0/1: drawn at every access, drawn once, > 0.5, not; auto: dynamic for gray sets",
    )
    held_out: float = Field(
        default=0.1, gt=0, description="cut from train for a split that the data lack: a fraction, or a count from 1 on"
    )
    data_seed: int = Field(
        default=0, ge=0, lt=2**31, description="seed of the splits, of --limit-train and of valid/test pixels"
    )
    limit_train: int | None = Field(
        default=None, ge=1, description="train on this many data only, drawn by --data-seed"
    )
    layout: Layout | None = Field(
        default=None,
        description="axes of arrays: image makes (N, H, W) and (N, H, W, C) to (N, C, H, W), given leaves them "
        "[default: given for a pair of your own, else image]",
    )
    pixels: bool | None = Field(
        default=None,
        description="whole numbers 0 to 255 are pixels, divided by 255: those of uint8 and of images, in every field; "
        "--no-pixels: none are [default: those of the images x]",
    )
    standardize: bool | None = Field(
        default=None,
        description="a built-in pair takes vectors in units of their training deviation around their training mean; "
        "log p and outputs keep the units of the data [default: vectors beyond [0, 1]]",
    )
    image_size: int | None = Field(default=None, ge=1, le=4096, description="resize images to this height and width")
    stream: bool | None = Field(
        default=None,
        description="read training data (a folder of images, a .npy) from disk while training "
        "[default: where they would take more than half of the free memory]",
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="processes that read them; 0 reads in the one that trains [default: one a core, at most 4]",
    )
    vocab: Literal["word", "subword", "char"] = Field(
        default="word", description="what a token of text is; char suits text without blanks (Chinese, SMILES)"
    )
    vocab_size: int = Field(
        default=10_000, ge=5, le=1_000_000, description="most tokens in the vocabulary, with the special four"
    )
    min_count: int = Field(default=1, ge=1, description="leave out words or merges that occur fewer times in train")
    max_length: int = Field(
        default=60,
        ge=2,
        le=100_000,
        description="drop training sentences of more tokens, <eos> counted; valid and test keep all",
    )

    @field_validator("held_out")
    @classmethod
    def _whole(cls, value: float) -> float:
        if value >= 1 and value != int(value):
            raise ValueError("a fraction below 1, or a whole number of data")
        return value

    def refuse_stream(self, data: str) -> None:
        """Raises UsageError where data that are held in memory are to be streamed."""
        if self.stream:
            raise UsageError(
                f"{option('stream', True)}: data '{data}' are held in memory, and only a folder of images or a .npy "
                f"file can be streamed: leave the option out, or give one of these"
            )

    @property
    def root(self) -> Path:
        """The data root, `data` in the working directory when none was given."""
        return self.data_root or Path("data")
