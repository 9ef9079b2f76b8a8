"""Data that were not among those of a fit, read as those were: for a trained pair to score, encode or complete."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from pyrovae.data.catalogue import found_in
from pyrovae.data.classes import as_before, numbered
from pyrovae.data.columns import gather
from pyrovae.data.dataset import TRUTH, Columns, Dataset, Part, Split, Transform, joined
from pyrovae.data.describe import describe
from pyrovae.data.field import Field
from pyrovae.data.options import DataConfig
from pyrovae.data.pixels import Mode, Numbers
from pyrovae.data.prepare import checked
from pyrovae.data.raw import DataSpec, Raw, Sentences
from pyrovae.data.stored import Stored
from pyrovae.data.transforms import Trim
from pyrovae.data.vocabulary import UNK, Vocabulary, pad
from pyrovae.errors import PyrovaeError, UsageError, option
from pyrovae.storage.jsonable import Json, JsonMapping


@dataclasses.dataclass(frozen=True, repr=False)
class NewData(Dataset):
    """Data of one split, `test`.

    Attributes:
        rows: (N,) the number of each datum in its source, from 0; None where none was left out.
        names: what the source calls each, as the path of an image; None where it has no names.
    """

    needs: ClassVar[tuple[Split, ...]] = ("test",)

    rows: Tensor | None = None
    names: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Before:
    """What is known of the data of a fit.

    Attributes:
        fields: what a batch held.
        inputs: fields that the pair reads.
        config: the options by which they were read.
        description: what run.json has of them.
        vocabulary: of text.
    """

    fields: Mapping[str, Field]
    inputs: tuple[str, ...]
    config: DataConfig
    description: JsonMapping
    vocabulary: Vocabulary | None

    @property
    def binarize(self) -> Mode:
        mode: Mode = self.description.get("binarize", "none")
        return mode

    @property
    def hides(self) -> bool:
        """Whether the labels of data that are not trained on are hidden from the pair (`pyrovae.data.labelled`)."""
        return "labels" in self.description


def read_new(spec: DataSpec, before: Before, part: Part = "all", conditions: bool = False) -> NewData:
    """Reads data with the options, the words and the classes that `before` has.

    Args:
        spec: what `pyrovae.data.load` takes, or `-` for standard input.
        before: of the data of the fit.
        part: where the data are in splits, which of them.
        conditions: whether what the pair generates may be missing; it is 0 then.

    Raises:
        UsageError: a name or path that does not exist, or a split that the data have not.
        PyrovaeError: data that cannot be read, or do not fit those of the fit, by field.
    """
    config = before.config.model_copy(update={"stream": False, "limit_train": None})
    text = any(field.kind == "tokens" for field in before.fields.values())
    found, name = found_in(spec, config, text)
    if isinstance(found, Dataset):
        return _of_dataset(found, before, part)
    if isinstance(found, Sentences) != text:
        raise PyrovaeError(
            f"data '{name}' are {'no text' if text else 'text'}, and the data of this run are"
            f"{'' if text else ' not'}: give data of the same kind"
        )
    if isinstance(found, Sentences):
        return _text(found, name, before, config, part)
    return _numbers(found if isinstance(found, Raw) else gather(found, name), name, before, config, part, conditions)


def _of_dataset(data: Dataset, before: Before, part: Part) -> NewData:
    """What was prepared already, where it came out with the same fields."""
    for name in before.inputs:
        ours, theirs = before.fields[name], data.named_fields()[name]
        if (ours.shape, ours.kind) != (theirs.shape, theirs.kind) and ours.kind != "tokens":
            raise _unlike(data.name, name, ours, theirs.shape, theirs.kind)
        if (theirs.size or 0) > (ours.size or 0) or theirs.names != ours.names:
            raise PyrovaeError(
                f"data '{data.name}': the classes of {name} are not those of this run: give the data themselves, not a "
                f"Dataset of them"
            )
    theirs_words = None if data.vocabulary is None else data.vocabulary.to_json()
    if theirs_words != (None if before.vocabulary is None else before.vocabulary.to_json()):
        raise PyrovaeError(f"data '{data.name}' have other words than this run: give the text, not a Dataset of it")
    splits = data.splits(part)
    columns = {
        name: joined([_held(data.columns[split][name]) for split in splits], _pad(data.fields.get(name)))
        for name in data.columns[splits[0]]
    }
    return _made(data.name, before, columns, data.transforms, data.seed, {**data.description})


def _held(column: Tensor | Stored) -> Tensor:
    return column[:] if isinstance(column, Stored) else column


def _pad(field: Field | None) -> int | None:
    return None if field is None else field.pad


def _made(
    name: str,
    before: Before,
    columns: Columns,
    transforms: Sequence[Transform],
    seed: int,
    description: Json,
    rows: Tensor | None = None,
    names: tuple[str, ...] | None = None,
    given: Iterable[str] = (),
) -> NewData:
    made = [each for each in before.inputs if before.fields[each].kind == "partial"]  # of x
    missing = [each for each in before.inputs if each not in columns and each not in made]
    if missing and not (before.hides and missing == ["y"]):
        listed = ", ".join(given or columns) or "none"
        raise PyrovaeError(
            f"the pair reads the field '{missing[0]}', and data '{name}' have only {listed}: give it, too"
        )
    if before.hides:
        truth = columns.get(TRUTH, columns.get("y"))
        count = len(next(iter(columns.values())))
        columns = {**columns, "y": torch.full((count,), -1)} | ({} if truth is None else {TRUTH: truth})
    return NewData(
        name=name,
        fields=before.fields,
        columns={"test": columns},
        transforms=tuple(transforms),
        seed=seed,
        description=description,
        vocabulary=before.vocabulary,
        rows=rows,
        names=names,
    )


def _text(data: Sentences, name: str, before: Before, config: DataConfig, part: Part) -> NewData:
    """Token ids by the words of the fit; blank lines are left out, and row numbers count them."""
    assert before.vocabulary is not None
    lines = [line for split in _chosen(data.splits, name, part) for line in data.splits[split]]
    rows = [row for row, line in enumerate(lines) if line.strip()]
    if not rows:
        raise PyrovaeError(f"data '{name}' hold no sentence: give some")
    ids = [before.vocabulary.ids(lines[row]) for row in rows]
    tokens = sum(len(row) for row in ids)
    unknown = sum(row.count(UNK) for row in ids)
    notes = []
    if unknown:
        notes.append(f"{unknown:,} of {tokens:,} tokens are no words of the fit, and are scored as <unk>")
    columns = {"x": pad(ids)}
    description = {**describe(name, {"test": columns}, config), "notes": notes}
    transforms = (Trim("x", before.vocabulary.pad),)
    return _made(name, before, columns, transforms, config.data_seed, description, rows=torch.tensor(rows))


def _chosen(splits: Mapping[Split, object], name: str, part: Part) -> list[Split]:
    if part == "all":
        return list(splits)
    if part not in splits or list(splits) == ["train"]:
        there = "are not in splits" if list(splits) == ["train"] else f"have only {', '.join(splits)}"
        raise UsageError(f"{option('split', part)}: data '{name}' {there}: take all")
    return [part]


def _numbers(raw: Raw, name: str, before: Before, config: DataConfig, part: Part, conditions: bool) -> NewData:
    raw = numbered(raw, name)
    layout = "image" if raw.divisor is not None else config.layout or "image"
    vectors = [field for field, ours in before.fields.items() if ours.kind in ("binary", "unit", "real")]
    source = checked(raw, name, layout, vectors)
    splits = _chosen(source, name, part)
    columns: Columns = {}
    transforms: list[Transform] = []
    names = [row for split in splits for row in raw.rows.get(split, ())] or None
    fields = {field: joined([_held(source[split][field]) for split in splits]) for field in source[splits[0]]}
    count = len(next(iter(fields.values())))
    for field, column in fields.items():
        ours = before.fields.get(field)
        if ours is None or ours.kind == "partial":
            continue  # neither read nor shown
        if ours.kind == "category":
            known = as_before(column, ours, raw, name, field, field in before.inputs)
            columns[field] = known
            continue
        values, used = _as_before(
            Numbers.of(field, {"test": column}, _divisor(field, column, raw, before)), before, name
        )
        columns[field] = _held(values.column["test"])
        transforms += values.transforms(used)
    if conditions:
        for field in before.inputs:
            ours = before.fields[field]
            if field not in columns and ours.kind in ("binary", "unit", "real"):
                columns[field] = torch.zeros(count, *ours.shape)
    described = describe(name, {"test": columns}, config) if columns else {}
    return _made(
        name,
        before,
        columns,
        transforms,
        config.data_seed,
        {**described, "binarize": before.binarize, "notes": [*raw.notes]},
        names=None if names is None else tuple(names),
        given=fields,
    )


def _divisor(field: str, column: Tensor, raw: Raw, before: Before) -> float:
    """Of bytes: that of the file where its reader knows it, else that of the fit."""
    if field == "x" and raw.divisor is not None:
        return raw.divisor
    divisors: Mapping[str, float] | None = before.description.get("divisors")
    if divisors is not None:
        return divisors.get(field, 1.0)
    pixels = before.config.pixels
    return 255.0 if (field == "x" and column.dim() == 4 if pixels is None else pixels) else 1.0


def _as_before(values: Numbers, before: Before, data: str) -> tuple[Numbers, Mode]:
    """Resized and binarized as the data of the fit were; raises PyrovaeError where shape or values are others."""
    ours = before.fields[values.name]
    used: Mode = "none"
    if values.name == "x":
        wanted = before.config.image_size if ours.is_image and values.first.dim() == 4 else None
        values = values.resized(wanted, data)
    shape = tuple(values.first.shape[1:])
    if shape != ours.shape:
        raise _unlike(data, values.name, ours, shape, values.kind)
    drawn = values.name == "x" and before.binarize != "none"
    allowed = {"binary": ("binary", "unit") if drawn else ("binary",), "unit": ("binary", "unit")}.get(ours.kind)
    if allowed is not None and values.kind not in allowed:
        raise _unlike(data, values.name, ours, shape, values.kind)
    if drawn:
        values, used = values.binarized(before.binarize, before.config.data_seed, data)
    return values, used


def _unlike(data: str, field: str, ours: Field, shape: tuple[int, ...], kind: str) -> PyrovaeError:
    values = {"binary": "0 or 1", "unit": "between 0 and 1", "real": "numbers beyond [0, 1]"}
    if shape != ours.shape:
        size = f", or fit with {option('image_size', command='fit')}" if len(shape) == len(ours.shape) == 3 else ""
        return PyrovaeError(
            f"data '{data}': a datum of {field} has shape {shape}, and the data of this run have {ours.shape}: give "
            f"data of that shape{size}"
        )
    return PyrovaeError(
        f"data '{data}': the values of {field} are {values.get(kind, kind)}, and those of this run "
        f"{values.get(ours.kind, ours.kind)}: give them as the data of the fit were"
    )


def index(data: Dataset, split: Part, chosen: Tensor | slice) -> dict[str, np.ndarray]:
    """The columns by which these data are known again in a table: `row`, and `name` where they have one."""
    rows, names = (data.rows, data.names) if isinstance(data, NewData) else (None, None)
    at = torch.arange(data.size(split))[chosen]
    columns = {"row": (at if rows is None else rows[at]).numpy()}
    return columns if names is None else columns | {"name": np.array(names)[at.numpy()]}
