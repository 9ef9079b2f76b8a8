"""What run.json may hold; checked before anything is made of it. Needs no torch.

Its `checksum` is the SHA-256 of the rest, as JSON with sorted keys: a digit that changed on the disk is found like any
other damage, and so is one that a person changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pyrovae.errors import PyrovaeError, brief
from pyrovae.storage.jsonable import Json, JsonMapping, finite, strict
from pyrovae.storage.reading import foreign

FORMAT = 3
"""Of run.json; raised when an older pyrovae could not read it: 3 has config.toml, and fields that are standardised."""

OLDEST = 1
"""The first format, without status, progress, files and checksums; it is still read."""

LIMIT = 2**24
"""Bytes of run.json, at most: a thousand times what it has."""

TEXT = 2**16
"""Characters of a text in it, at most."""

PATHS = {
    "weights": "weights.safetensors",
    "metrics": "metrics.jsonl",
    "config": "config.toml",
    "vocabulary": "vocabulary.json",
    "checkpoint": "state/checkpoint.safetensors",
    "curves": "curves.png",
    "samples": "samples.png",
    "marginals": "marginals.png",
    "reconstructions": "reconstructions.png",
    "latents": "latents.png",
    "plane": "plane.png",
    "traversals": "traversals.png",
}
"""Where a file lies whose name is free, by its role."""

Picture = Literal["curves", "samples", "marginals", "reconstructions", "latents", "plane", "traversals"]
Role = Literal["weights", "metrics", "config", "vocabulary", "checkpoint"] | Picture
Count = Annotated[int, Field(ge=0, lt=2**53)]
Positive = Annotated[int, Field(ge=1, lt=2**53)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]
Seconds = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(max_length=1000)]


def _is_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("it is no text")
    return value


Text = Annotated[Any, AfterValidator(_is_text)]
"""A text that may hold the name of a file, and so what is no UTF-8."""


class Strict(BaseModel):
    """Base of the parts: no other keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())


class Entry(Strict):
    """A file that run.json names; without size and checksum in the oldest format."""

    path: Annotated[str, Field(max_length=200)]
    bytes: Annotated[int, Field(ge=0, le=2**40)] | None = None
    sha256: Digest | None = None


class Code(Strict):
    """A file of the user's own code as it was when the run was made."""

    bytes: Count
    sha256: Digest


class Frozen(Strict):
    """The run whose model was frozen."""

    run: Text | None
    weights: Digest
    shared: list[str]


class RecipeFile(Strict):
    """What was fitted to what, and how; the options are checked by their own classes."""

    model: Text | None
    options: dict[str, Any] | None
    guide: Text | None
    data: Text | None
    data_options: dict[str, Any]
    training: dict[str, Any]
    frozen: Frozen | None = None


class FieldFile(Strict):
    """`pyrovae.data.Field`."""

    shape: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=8)]
    kind: Literal["binary", "unit", "real", "category", "tokens", "partial"]
    size: Count | None = None
    pad: Count | None = None
    bos: Count | None = None
    eos: Count | None = None
    unk: Count | None = None
    of: Name | None = None
    names: list[Text] | None = None
    labelled: Annotated[float, Field(gt=0, le=1)] | None = None
    standardized: bool = False


class PositionFile(Strict):
    """`pyrovae.runs.checkpoint.Position`."""

    epoch: Count
    step: Count
    of: Positive
    best: float | None
    best_epoch: Count
    seconds: Seconds
    tier: Literal["eager", "traced", "compiled"]
    device: Annotated[str, Field(pattern=r"^[a-z]{1,16}\z")]
    threads: Positive
    ranks: Positive
    microbatch: Positive | None
    inner: Count = 0

    @model_validator(mode="after")
    def _agree(self) -> PositionFile:
        if self.best_epoch > self.epoch:
            raise ValueError(f"the best epoch {self.best_epoch} is after epoch {self.epoch}")
        if self.epoch > self.of:
            raise ValueError(f"epoch {self.epoch} is after the last one, {self.of}")
        if self.epoch > self.step:
            raise ValueError(f"{self.epoch} epochs are over after {self.step} steps")
        if self.best is not None and self.best_epoch == 0:
            raise ValueError(f"the best epoch is 0, and its ELBO is {self.best}")
        return self


class RunFile(Strict):
    """run.json."""

    format: Literal[3]
    status: Literal["training", "trained", "done"]
    recipe: RecipeFile
    inputs: Annotated[list[Name], Field(max_length=100)]
    fields: dict[Name, FieldFile]
    data: dict[str, Any]
    progress: PositionFile | None
    environment: dict[Name, str | int | float | bool | None]
    code: dict[Any, Code] = {}
    results: dict[str, Any]
    files: dict[Role, Entry]
    checksum: Digest | None = None

    @model_validator(mode="after")
    def _files_are_ours(self) -> RunFile:
        for role, entry in self.files.items():
            require_ours(role, entry.path)
            if entry.bytes is None or entry.sha256 is None:
                raise ValueError(f"the file of {role} has no size or no checksum")
        paths = [entry.path for entry in self.files.values()]
        if len(set(paths)) < len(paths):
            raise ValueError("two roles have one file")
        return self


def require_ours(role: str, path: str) -> None:
    """Raises ValueError where a file is not below a name that a run gives it."""
    own = PurePosixPath(PATHS[role])
    if not re.fullmatch(rf"{re.escape(str(own.with_suffix('')))}(?:-[0-9a-f]{{8}})?{re.escape(own.suffix)}", path):
        raise ValueError(f"the file of {role} is {path[:80]!r}, and not {own} or {own.stem}-xxxxxxxx{own.suffix}")


def checksum(content: JsonMapping) -> str:
    """SHA-256 of run.json without its `checksum`, 64 hexadecimal digits."""
    plain = json.loads(json.dumps({key: value for key, value in content.items() if key != "checksum"}))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: JsonMapping) -> Json:
    """The content with its `checksum`; numbers that are not finite become null."""
    plain = finite({key: value for key, value in content.items() if key != "checksum"})
    sealed: dict[str, Any] = plain | {"checksum": checksum(plain)}
    return sealed


def parse(data: bytes | bytearray, what: str) -> Json:
    """run.json from its bytes, an older one as if it were new; `what` names it in errors.

    Raises:
        PyrovaeError: where it is damaged, of a newer format, or was changed by hand.
    """
    content = plain(data, what)
    number = content.get("format")
    if type(number) is int and number > FORMAT:
        raise PyrovaeError(f"{what} has format {number}, this pyrovae reads {FORMAT}: update pyrovae")
    if type(number) is not int or not OLDEST <= number <= FORMAT:
        raise PyrovaeError(f"{what} has format {number!r:.80}, this pyrovae reads {FORMAT}: the file is damaged")
    if number == OLDEST:
        content = _upgraded(content)
    elif "checksum" not in content:
        raise PyrovaeError(f"{what} is damaged (it has no checksum)")
    elif checksum(content) != content["checksum"]:
        raise PyrovaeError(
            f"{what} is damaged, or was changed by hand (its checksum is not that of what it says): take the file as "
            f"pyrovae wrote it"
        )
    content = {**content, "format": FORMAT}
    try:
        RunFile(**content)
    except (ValidationError, TypeError) as error:
        raise PyrovaeError(f"{what} is damaged ({_sentence(error)})") from None
    return content


def plain(data: bytes | bytearray, what: str) -> Json:
    """The object of a JSON file, of which nothing else is known; raises PyrovaeError where there is none."""
    try:
        content = strict(data, TEXT)
    except ValueError as error:
        raise PyrovaeError(f"{what} is no JSON ({foreign(data) or error}): the file is damaged") from None
    if not isinstance(content, dict):
        raise PyrovaeError(f"{what} is damaged (it holds a {type(content).__name__} and no object)")
    return content


def _upgraded(content: JsonMapping) -> Json:
    """A run.json of the oldest format; `pyrovae.runs.directory.content` adds the files that are there."""
    added = {"format": FORMAT, "status": "done", "progress": None, "files": {}}
    if foreign_keys := sorted({"checksum", *added} & set(content) - {"format"}):
        raise PyrovaeError(f"run.json of format {OLDEST} has no '{foreign_keys[0]}': the file is damaged")
    return {**content, **added}


def _sentence(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return brief(error)
    first = error.errors(include_url=False)[0]
    where = brief(".".join(str(part) for part in first["loc"]))
    if first["type"] == "missing":
        return f"there is no {where}"
    if first["type"] == "extra_forbidden":
        return f"there is a {where}, which format {FORMAT} has not"
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error" and isinstance(first["input"], dict):  # of several keys together
        return f"{where}: {said}" if where else said
    given = repr(first["input"])
    return f"{where} = {given if len(given) <= 80 else given[:79] + '…'}: {said[:1].lower()}{said[1:]}"
