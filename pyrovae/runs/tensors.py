"""Tensors and JSON as the files of a run hold them: nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import save
from torch import Tensor, nn

from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError
from pyrovae.runs.texts import metrics_of as metrics_of
from pyrovae.runs.texts import to_lines as to_lines
from pyrovae.runs.texts import words_of
from pyrovae.storage.headers import Place, places
from pyrovae.storage.reading import foreign

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
"""Those of `pyrovae.storage.headers`."""


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
    full: State = {}
    for name, (found, tensor) in matched(module, state, what).items():
        if not is_finite(cast := found.to(tensor.dtype)):
            own = tensor.detach().to(cast.device)
            if not (cast.isfinite() | (cast == own) | (cast.isnan() & own.isnan())).all():
                raise PyrovaeError(f"{what}: '{name}' holds {_odd(cast)}: they are damaged")
        full[name] = found
    module.load_state_dict(full)


def matched(module: nn.Module, state: Mapping[str, Tensor], what: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Name -> the tensor of `state`, the one of the module; of neither the values are looked at.

    Raises:
        PyrovaeError: where names, shapes or kinds of numbers differ.
    """
    owner: dict[int, str] = {}
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        name_in_file = owner.setdefault(id(tensor), name)
        if name_in_file not in state:
            raise PyrovaeError(
                f"{what} have no tensor '{name_in_file}', which the pair needs: they are of another model"
            )
        new = state[name_in_file]
        if new.shape != tensor.shape:
            raise PyrovaeError(f"{what}: '{name}' has shape {tuple(new.shape)}, the pair needs {tuple(tensor.shape)}")
        if new.is_floating_point() != tensor.is_floating_point():
            raise PyrovaeError(f"{what}: '{name}' has dtype {new.dtype}, the pair needs {tensor.dtype}")
        found[name] = new, tensor
    if extra := sorted(set(state) - set(found)):
        raise PyrovaeError(f"{what} have a tensor '{extra[0]}' that the pair lacks: they are of another model")
    return found


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
    words_of(data, what)
    try:
        return Vocabulary.from_json(data.decode("utf-8"))
    except PyrovaeError as error:
        raise PyrovaeError(f"{what} cannot be read ({error}): the file is damaged") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of tokenizers, which is no Exception
            raise
        raise PyrovaeError(f"{what} cannot be read ({error}): the file is damaged") from None


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
