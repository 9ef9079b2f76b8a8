"""A data set: named columns in three splits, what they hold, and what happens to a batch on its way to the pair."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad as padded

from pyrovae.data.field import Field
from pyrovae.data.plain import require_plain
from pyrovae.data.stored import Column, Stored
from pyrovae.data.synonyms import meant
from pyrovae.data.vocabulary import Vocabulary
from pyrovae.errors import PyrovaeError, UsageError, did_you_mean, option, require_whole
from pyrovae.runtime.notebook import Lines, Shown
from pyrovae.runtime.seeding import seeded

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
Part = Literal["train", "valid", "test", "all"]
"""A split, or all of them behind each other in the order of SPLITS."""
PARTS: tuple[Part, ...] = (*SPLITS, "all")
TRUTH = "truth"
"""The column of true labels where the field y hides some of them; no pair reads it."""
Columns = dict[str, Tensor]
Transform = Callable[[Columns], Columns]


class Fields(dict[str, Field]):
    """Fields by name; one that is missing is a UsageError that says whose."""

    def __init__(self, fields: Mapping[str, Field], data: str) -> None:
        super().__init__(fields)
        self.data = data

    def __missing__(self, name: str) -> Field:
        if (field := meant(name, self)) is not None:
            return self[field]
        raise UsageError(
            f"the model needs the field '{name}', and data '{self.data}' has only {', '.join(self)}: "
            f"take other data with {option('data')}"
        )


@dataclasses.dataclass(frozen=True, repr=False)
class Dataset(Shown):
    """Named tensors in three splits.

    Attributes:
        name: what the user called it.
        fields: what a batch holds after the transforms, by name.
        columns: by split, by name: tensors as they are stored (pixels as uint8, say), first dim the data. Those of
            `train` may be Stored instead: on the disk, read while training.
        transforms: what turns stored rows into a batch, in order; each takes and gives a dict of columns, on the
            device of the rows, and draws its noise (if any) from torch's global generator: binarization that is drawn
            anew at every access is one of these.
        seed: of the one draw of these transforms by which `valid` and `test` are scored.
        description: what run.json keeps: source, counts, binarization, fingerprint.
        vocabulary: of token fields.
        workers: processes that read stored columns; None leaves their number to the machine.
    """

    needs: ClassVar[tuple[Split, ...]] = SPLITS
    """The splits that there must be."""

    name: str
    fields: Mapping[str, Field]
    columns: Mapping[Split, Mapping[str, Column]]
    transforms: tuple[Transform, ...] = ()
    seed: int = 0
    description: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    vocabulary: Vocabulary | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        for split, columns in self.columns.items():
            for name, column in columns.items():
                what = f"data '{self.name}': {name} of {split}"
                if not isinstance(column, Tensor | Stored):
                    kind = type(column).__name__
                    raise PyrovaeError(f"{what} is a {kind} and no tensor: give one, or let pyrovae.data.load make it")
                require_plain(column, what)
        for split in self.needs:
            if self.size(split) == 0:
                raise PyrovaeError(f"data '{self.name}': the {split} split is empty: give more data")

    def lines(self) -> Lines:
        """Name, counts, and what each field is."""
        counts = ", ".join(f"{self.size(split):,} {split}" for split in SPLITS if split in self.columns)
        lines = [("", f"{self.name}, {counts}")]
        for name, field in self.fields.items():
            lines.append((name, f"{field.kind}{f' of {field.size:,}' if field.size else ''} {field.shape}"))
        return lines

    def splits(self, part: Part = "all") -> tuple[Split, ...]:
        """The splits that a part is made of; raises UsageError where it is none of these data."""
        if part not in PARTS:
            raise UsageError(f"there is no split '{part}'{did_you_mean(part, PARTS)}")
        there = tuple(split for split in SPLITS if split in self.columns)
        if part != "all" and part not in there:
            raise UsageError(f"data '{self.name}' have no {part} split, only {', '.join(there)}")
        return there if part == "all" else (part,)

    def size(self, part: Part) -> int:
        """How many data a split has, or all."""
        splits = [self.columns.get(split, {}) for split in (SPLITS if part == "all" else (part,))]
        return sum(min((len(column) for column in columns.values()), default=0) for columns in splits)

    def labels(self, part: Part) -> Tensor | None:
        """The classes of a split, (N,), also where they are hidden from the pair; None where the data have none."""
        found = [columns.get(TRUTH, columns.get("y")) for columns in map(self.columns.__getitem__, self.splits(part))]
        labels = [column for column in found if isinstance(column, Tensor) and column.dim() == 1]
        return torch.cat(labels) if len(labels) == len(found) else None

    def lengths(self, part: Part) -> Tensor | None:
        """Tokens in each datum of a split, (N,); None where the data are no text."""
        for name, field in self.fields.items():
            if field.kind == "tokens":
                texts = [self.columns[split][name] for split in self.splits(part)]
                return torch.cat([text.ne(field.pad).sum(-1) for text in texts])  # type: ignore[union-attr, arg-type]
        return None

    def batch(self, rows: Columns, inputs: tuple[str, ...]) -> tuple[Tensor, ...]:
        """Stored rows -> the tuple of tensors that `pair.model(*batch)` takes."""
        for transform in self.transforms:
            rows = transform(rows)
        return tuple(rows[name] for name in inputs)

    def read_by(self, inputs: tuple[str, ...]) -> set[str]:
        """The columns of which a batch is made: those of the inputs, and what the transforms name as their `field`."""
        fields = [getattr(transform, "field", None) for transform in self.transforms]
        return set(self.fields) | set(self.columns["train"]) if None in fields else {*inputs, *filter(None, fields)}

    def split(self, part: Part, inputs: tuple[str, ...], limit: int | None = None) -> tuple[Tensor, ...]:
        """A whole split (its first `limit` data) as one batch, by one draw of the transforms with the stored seed; of
        `all`, by that of each.

        Of a split that is on the disk only the first `limit` data are read; raises PyrovaeError without a limit.
        """
        require_whole(limit=limit)
        batches: list[tuple[Tensor, ...]] = []
        for split in self.splits(part):
            left = None if limit is None else limit - sum(len(batch[0]) for batch in batches)
            if left != 0:
                batches.append(self._split(split, inputs, left))
        pads = [self.fields[name].pad if name in self.fields else None for name in inputs]
        return tuple(joined(tensors, pad) for tensors, pad in zip(zip(*batches, strict=True), pads, strict=True))

    def _split(self, split: Split, inputs: tuple[str, ...], limit: int | None) -> tuple[Tensor, ...]:
        columns = self.columns[split]
        if any(isinstance(column, Stored) for column in columns.values()):
            if limit is None:
                raise PyrovaeError(
                    f"the {split} split of data '{self.name}' is read from disk, and its {self.size(split):,} data are "
                    f"not held in memory at once: give {option('limit')}, how many of them to take"
                )
            columns = {name: column[:limit] for name, column in columns.items()}
        with seeded(self.seed + SPLITS.index(split)):
            batch = self.batch(dict(columns), inputs)  # type: ignore[arg-type]
        return tuple(tensor[:limit] for tensor in batch)

    def named_fields(self) -> Fields:
        """The fields, which say whose they are where one is missing."""
        return Fields(self.fields, self.name)

    def require(self, inputs: tuple[str, ...]) -> None:
        """Raises UsageError where a field that a pair reads is not in the data."""
        fields = self.named_fields()
        for name in inputs:
            fields[name]


def joined(tensors: Sequence[Tensor], pad: int | None = None) -> Tensor:
    """Rows behind each other; sentences of another width get padding."""
    if len(tensors) == 1:
        return tensors[0]
    if pad is not None:
        width = max(tensor.shape[-1] for tensor in tensors)
        tensors = [padded(tensor, (0, width - tensor.shape[-1]), value=pad) for tensor in tensors]
    return torch.cat(list(tensors))
