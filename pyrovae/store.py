"""Tensors and JSON as the files of a run hold them: nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError
from pyrovae.jsonable import finite, strict
from pyrovae.layout import Place, places
from pyrovae.reading import foreign

State = dict[str, Tensor]

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "BOOL": torch.bool,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
}
"""Those of `pyrovae.layout`."""

METRICS, LINE = 2**28, 2**16
"""Bytes of metrics.jsonl and of one of its lines, at most."""

NUMBERS = (int, float, type(None))

VOCABULARY = 2**28
"""Bytes of vocabulary.json, at most."""

PARTS = {
    "model": {"WordLevel", "BPE"},
    "normalizer": {"NFC"},
    "pre_tokenizer": {"Split", "ByteLevel"},
    "decoder": {"ByteLevel"},
}
"""What a vocabulary is made of."""


def weights(module: nn.Module) -> State:
    """Parameters and buffers, each tensor once, under its first name (safetensors refuses two names for one)."""
    first: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        first.setdefault(id(tensor), (name, tensor.detach()))
    return dict(first.values())


def set_weights(module: nn.Module, state: Mapping[str, Tensor], what: str = "these weights") -> None:
    """The inverse of `weights`.

    Raises:
        PyrovaeError: where names or shapes differ, or a value is NaN or infinite that is not so in the module: a mask
            of -inf is no damage.
    """
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
        if found.is_floating_point() != tensor.is_floating_point():
            raise PyrovaeError(f"{what}: '{name}' has dtype {found.dtype}, the pair needs {tensor.dtype}")
        if not is_finite(cast := found.to(tensor.dtype)):
            own = tensor.detach().to(cast.device)
            if not (cast.isfinite() | (cast == own) | (cast.isnan() & own.isnan())).all():
                raise PyrovaeError(f"{what}: '{name}' holds {_odd(cast)}: they are damaged")
        full[name] = found
    extra = sorted(set(state) - set(full))
    if extra:
        raise PyrovaeError(f"{what} have a tensor '{extra[0]}' that the pair lacks: they are of another model")
    module.load_state_dict(full)


def to_bytes(state: State) -> bytes:
    """As safetensors, which refuses tensors that share memory: each is copied."""
    return save({name: tensor.to("cpu", copy=True).contiguous() for name, tensor in state.items()})


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity; without another tensor of its size."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return all(bool(end.isfinite()) for end in tensor.aminmax())


def _odd(tensor: Tensor) -> str:
    return "NaN" if tensor.isnan().any() else "infinity"


def refuse_nan(state: Mapping[str, Tensor], what: str, infinity: bool = True) -> None:
    """Raises PyrovaeError for the first tensor that holds NaN, or infinity."""
    for name, tensor in state.items():
        if not is_finite(tensor) and (infinity or tensor.isnan().any()):
            raise PyrovaeError(f"{what}: '{name}' holds {_odd(tensor)}: the file is damaged")


def vocabulary_of(data: bytes | bytearray, what: str) -> Vocabulary:
    """A vocabulary from the bytes of a file; raises PyrovaeError where it is none. `what` names it in the error."""
    try:
        content = strict(data)
        _require_vocabulary(content)
        return Vocabulary.from_json(data.decode("utf-8"))
    except (PyrovaeError, ValueError) as error:
        raise PyrovaeError(f"{what} cannot be read ({foreign(data) or error}): the file is damaged") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of tokenizers, which is no Exception
            raise
        raise PyrovaeError(f"{what} cannot be read ({error}): the file is damaged") from None


def _require_vocabulary(content: Any) -> None:
    """Raises ValueError where a JSON value is none of the tokenizers that `Vocabulary.train` makes."""
    if not isinstance(content, dict):
        raise ValueError("it is no object")
    for part, known in PARTS.items():
        kind = content[part].get("type") if isinstance(content.get(part), dict) else None
        if (kind is None and (part == "model" or content.get(part) is not None)) or (kind and kind not in known):
            raise ValueError(f"its {part} is {kind!r:.80}, and not {' or '.join(sorted(known))}")
    for part in ("post_processor", "truncation", "padding"):
        if content.get(part) is not None:
            raise ValueError(f"it has a {part}")
    words = content["model"].get("vocab")
    if not isinstance(words, dict) or not all(type(i) is int for i in words.values()):
        raise ValueError("its words are not texts with numbers")
    if sorted(words.values()) != list(range(len(words))):
        raise ValueError(f"its {len(words)} words do not have the numbers from 0 to {len(words) - 1}")


def tensors_of(data: bytes | bytearray, what: str) -> State:
    """Tensors from the bytes of a safetensors file; of a bytearray they are views, and take no memory of their own.

    Raises:
        PyrovaeError: where it is none; `what` names it in the error.
    """
    try:
        found = places(memoryview(data), len(data))
        buffer = data if isinstance(data, bytearray) else bytearray(data)
        return {name: _tensor(name, place, buffer) for name, place in found.items()}
    except ValueError as error:
        raise PyrovaeError(f"{what} cannot be read ({foreign(data) or error}): the file is damaged") from None


def _tensor(name: str, place: Place, buffer: bytearray) -> Tensor:
    dtype = DTYPES[place.dtype]
    if not place.numel:
        return torch.empty(place.shape, dtype=dtype)
    if place.start % dtype.itemsize:  # allowed, though nobody writes it: kernels want whole words
        buffer = buffer[place.start : place.end]
        place = place._replace(start=0)
    if dtype == torch.bool:
        raw = torch.frombuffer(buffer, dtype=torch.uint8, count=place.numel, offset=place.start)
        if raw.max() > 1:
            raise ValueError(f"tensor '{name}' of truth values holds {int(raw.max())}")
    return torch.frombuffer(buffer, dtype=dtype, count=place.numel, offset=place.start).reshape(place.shape)


def metrics_of(data: bytes | bytearray, what: str) -> list[dict[str, Any]]:
    """The objects of a metrics.jsonl, one a line, of numbers and null.

    Raises:
        PyrovaeError: where they are none; it names the line.
    """
    found: list[dict[str, Any]] = []
    for number, line in enumerate(bytes(data).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            if len(line) > LINE:
                raise ValueError(f"it has {len(line):,} bytes, and {LINE:,} is the most")
            each = strict(line, LINE)
            if not isinstance(each, dict) or any(
                type(value) not in (int, float, type(None)) for value in each.values()
            ):
                raise ValueError("it is no object of numbers")
        except ValueError as error:
            why = (number == 1 and foreign(data)) or error
            raise PyrovaeError(f"{what} is damaged (line {number}: {why})") from None
        found.append(each)
    return found


def to_lines(metrics: Iterable[Mapping[str, Any]]) -> str:
    """The inverse of `metrics_of`; a number that is not finite becomes null."""
    return "".join(json.dumps(finite(dict(each))) + "\n" for each in metrics)
