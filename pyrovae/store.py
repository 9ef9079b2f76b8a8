"""Tensors and JSON as the files of a run hold them: nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError
from pyrovae.jsonable import finite

State = dict[str, Tensor]


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


def vocabulary_of(data: bytes, what: str) -> Vocabulary:
    """A vocabulary from the bytes of a file; raises PyrovaeError where it is none. `what` names it in the error."""
    try:
        return Vocabulary.from_json(data.decode("utf-8"))
    except (PyrovaeError, UnicodeDecodeError) as error:
        raise PyrovaeError(f"{what} cannot be read ({error}): the file is damaged") from None


def tensors_of(data: bytes, what: str) -> State:
    """Tensors from the bytes of a safetensors file; raises PyrovaeError where it is none."""
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise PyrovaeError(f"{what} cannot be read ({error}): the file is damaged") from None


def metrics_of(data: bytes, what: str) -> list[dict[str, Any]]:
    """The objects of a metrics.jsonl, one a line."""
    try:
        return [dict(json.loads(line)) for line in data.decode("utf-8").splitlines() if line.strip()]
    except (ValueError, TypeError) as error:
        raise PyrovaeError(f"{what} is damaged ({error})") from None


def to_lines(metrics: Iterable[Mapping[str, Any]]) -> str:
    """The inverse of `metrics_of`; a number that is not finite becomes null."""
    return "".join(json.dumps(finite(dict(each))) + "\n" for each in metrics)
