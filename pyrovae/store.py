"""The files of a run directory: JSON and safetensors, written aside, synced and renamed; nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError, UsageError

State = dict[str, Tensor]

RUN, WEIGHTS, LAST, METRICS, VOCABULARY = (
    "run.json",
    "weights.safetensors",
    "state/last.safetensors",
    "metrics.jsonl",
    "vocabulary.json",
)
PICTURES = ("samples.png", "reconstructions.png", "latents.png", "curves.png")


def weights(module: nn.Module) -> State:
    """Parameters and buffers, each tensor once, under its first name (safetensors refuses two names for one)."""
    first: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        first.setdefault(id(tensor), (name, tensor.detach()))
    return dict(first.values())


def set_weights(module: nn.Module, state: Mapping[str, Tensor], what: str = "these weights") -> None:
    """The inverse of `weights`; raises PyrovaeError where names or shapes differ."""
    owner: dict[int, str] = {}
    full: State = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        name_in_file = owner.setdefault(id(tensor), name)
        if name_in_file not in state:
            raise PyrovaeError(
                f"{what} have no tensor '{name_in_file}', which the pair needs: they are of another model"
            )
        found = state[name_in_file]
        if found.shape != tensor.shape:
            raise PyrovaeError(f"{what}: '{name}' has shape {tuple(found.shape)}, the pair needs {tuple(tensor.shape)}")
        full[name] = found
    extra = sorted(set(state) - set(full))
    if extra:
        raise PyrovaeError(f"{what} have a tensor '{extra[0]}' that the pair lacks: they are of another model")
    module.load_state_dict(full)


def to_bytes(state: State) -> bytes:
    """As safetensors, which refuses tensors that share memory: each is copied."""
    return save({name: tensor.to("cpu", copy=True).contiguous() for name, tensor in state.items()})


def read_json(path: Path) -> Any:
    """Reads JSON; raises PyrovaeError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PyrovaeError(f"{path} is no JSON ({error}): the file is damaged") from None


def read_vocabulary(path: Path) -> Vocabulary:
    """Reads a vocabulary; raises PyrovaeError where the file is missing or damaged."""
    if not path.is_file():
        raise PyrovaeError(f"there is no {path}: the run was not finished, or the file was removed")
    try:
        return Vocabulary.from_json(path.read_text(encoding="utf-8"))
    except (PyrovaeError, UnicodeDecodeError) as error:
        raise PyrovaeError(f"{path} cannot be read ({error}): the file is damaged") from None


def read_tensors(path: Path) -> State:
    """Reads safetensors; raises PyrovaeError where the file is missing or damaged."""
    if not path.is_file():
        raise PyrovaeError(f"there is no {path}: the run was not finished, or the file was removed")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise PyrovaeError(f"{path} cannot be read ({error}): the file is damaged") from None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The objects of a metrics.jsonl, one a line; none where there is no file."""
    if not path.is_file():
        return []
    try:
        return [dict(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (ValueError, TypeError) as error:
        raise PyrovaeError(f"{path} is damaged ({error})") from None


def require_free(path: Path, overwrite: bool) -> None:
    """Raises UsageError where a run directory may not be made: it exists, or it is something else."""
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise UsageError(f"{path} is a file: give a folder for the run")
    if not any(path.iterdir()):
        return
    if not is_run(path):
        raise UsageError(f"{path} is a folder with other things in it: give a new folder for the run")
    if not overwrite:
        raise UsageError(f"there is a run in {path} already: take another --out, or --overwrite")


def files_of(path: Path) -> list[Path]:
    """Where the files of a run directory are, or would be."""
    return [path / name for name in (RUN, WEIGHTS, LAST, METRICS, VOCABULARY, *PICTURES)]


def is_run(path: Path) -> bool:
    """Whether there is a run directory, finished or not."""
    return (path / RUN).is_file() or (path / METRICS).is_file()
