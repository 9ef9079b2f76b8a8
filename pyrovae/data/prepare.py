"""From what a source gives to a Dataset: checked, cut, binarized and described."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor

from pyrovae.data.classes import numbered
from pyrovae.data.columns import arrange, classes, gather, is_vector, labels, numbers
from pyrovae.data.cut import cut
from pyrovae.data.dataset import SPLITS, Dataset, Split, Transform
from pyrovae.data.describe import Splits, describe
from pyrovae.data.field import Field
from pyrovae.data.notes import distinct_counts, of_columns, of_labels, of_numbers
from pyrovae.data.options import DataConfig, Layout
from pyrovae.data.pixels import Mode, Numbers
from pyrovae.data.raw import Found, Raw, Sentences
from pyrovae.data.stored import Column, Stored
from pyrovae.data.text import prepare_text
from pyrovae.errors import PyrovaeError, UsageError, option


def prepare(data: Found, name: str, config: DataConfig) -> Dataset:
    """Makes a Dataset of a Raw, of Sentences, or of tensors in any form that `load` takes."""
    if isinstance(data, Sentences):
        return prepare_text(data, name, config)
    raw = numbered(data if isinstance(data, Raw) else gather(data, name), name)
    layout: Layout = config.layout or "image"
    if raw.divisor is not None:
        layout = "image"
    elif layout == "given" and config.image_size is not None:
        raise UsageError(
            f"{option('image_size', config.image_size)}: data '{name}' keep their axes, and only images are resized: "
            f"give {option('layout', 'image')}"
        )
    source = checked(raw, name, layout)
    rows = cut({split: len(next(iter(columns.values()))) for split, columns in source.items()}, config, name)
    splits: Splits = {
        split: {field: _part(column, index, split) for field, column in source[origin].items()}
        for split, (origin, index) in rows.items()
    }
    fields: dict[str, Field] = {}
    transforms: list[Transform] = []
    divisors: dict[str, float] = {}
    binarize: Mode = "none"
    notes = [*raw.notes]
    distinct: int | None = None
    mode: Mode = ("dynamic" if raw.gray else "none") if config.binarize == "auto" else config.binarize
    if mode != "none" and "x" not in splits["train"]:
        raise UsageError(f"{option('binarize', mode)}: data '{name}' has no field x: leave the option out")
    for field in list(splits["train"]):
        column = {split: splits[split][field] for split in SPLITS}
        if column["train"].dim() == 1:
            names = raw.names_of(field)
            whole: list[Any] = [part[field] for part in source.values()]
            size = classes(whole, names, f"data '{name}': {field}")
            fields[field] = Field(shape=(), kind="category", size=size, names=names)
            notes += of_labels(whole, size, field, names is not None)
            continue
        values = Numbers.of(field, column, _divisor(field, column["train"], raw, config))
        divisors[field] = values.divisor
        used: Mode = "none"
        if field == "x":
            notes += of_numbers(values, column["train"], config, raw.divisor is not None)
            if values.kind == "real" and column["train"].dim() == 2:
                distinct = distinct_counts(column["train"])
            values, used = values.resized(config.image_size, name).binarized(mode, config.data_seed, name)
            binarize = used
        fields[field] = values.field(config.standardize)
        notes += of_columns(field, fields[field])
        transforms += values.transforms(used)
        for split in SPLITS:
            splits[split][field] = values.column[split]
    if config.stream is None and any(isinstance(column, Stored) for column in splits["train"].values()):
        notes.append(
            "the training data are read from disk while training, as they would take more than half of the free "
            f"memory; {option('stream', False)} holds them in memory"
        )
    return Dataset(
        name=name,
        fields=fields,
        columns=splits,
        transforms=tuple(transforms),
        seed=config.data_seed,
        description={
            **describe(name, splits, config),
            "binarize": binarize,
            "pixels": config.pixels,
            "layout": layout,
            "divisors": divisors,
            "standardized": any(each.standardized for each in fields.values()),
            "notes": notes,
            **({} if distinct is None else {"distinct_counts": distinct}),
        },
        workers=config.workers,
    )


def _divisor(field: str, train: Column, raw: Raw, config: DataConfig) -> float:
    """Of bytes: counts are bytes, too, so only images x, and what a source knows for pixels, are divided unasked."""
    known = field == "x" and raw.divisor is not None
    pixels = known or (field == "x" and train.dim() == 4) if config.pixels is None else config.pixels
    return (raw.divisor if known else None) or 255.0 if pixels else 1.0


def _part(column: Column, rows: Tensor | slice, split: Split) -> Column:
    """Rows of a column as a split holds them: of what is on the disk, only train stays there."""
    return column.select(rows) if isinstance(column, Stored) and split == "train" else column[rows]


def checked(raw: Raw, name: str, layout: Layout, vectors: Collection[str] = ()) -> Splits:
    """Tensors of one length in a split, of one shape and dtype over the splits; labels int64 of one dim, which the
    fields of `vectors` are not, whatever their values."""
    checked: Splits = {}
    for split, columns in raw.columns.items():
        checked[split] = {}
        for field, value in columns.items():
            if isinstance(value, Stored):  # its source checks and arranges what it reads
                checked[split][field] = value
                continue
            what = f"data '{name}': {field} of {split}"
            tensor = numbers(value, what)
            vector = tensor.is_floating_point() and (field != "y" or is_vector(tensor))
            is_label = not vector and field not in vectors and (field == "y" or (field != "x" and tensor.dim() == 1))
            checked[split][field] = labels(tensor, what) if is_label else arrange(tensor, what, layout)
        lengths = {field: len(column) for field, column in checked[split].items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{field} has {length}" for field, length in lengths.items())
            raise PyrovaeError(f"data '{name}': in {split}, {listed}: give all fields the same number of data")
    first_split, first = next(iter(checked.items()))
    for split, columns in checked.items():
        if set(columns) != set(first):
            raise PyrovaeError(
                f"data '{name}' has the fields {', '.join(first)} in {first_split}, {', '.join(columns)} in {split}: "
                "give the same in all"
            )
        for field, column in columns.items():
            here, there = _form(column), _form(first[field])
            if here != there:
                raise PyrovaeError(
                    f"data '{name}': {field} is {there} in {first_split} and {here} in {split}: make them alike"
                )
    return checked


def _form(column: Column) -> str:
    return f"{str(column.dtype).removeprefix('torch.')} {tuple(column.shape[1:])}"
