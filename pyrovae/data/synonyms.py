"""Names that people give to fields and to splits, and what they are called here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from pyrovae.errors import PyrovaeError

SPLIT_OF = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}

FIELD_OF = {
    **dict.fromkeys(("x", "data", "image", "images"), "x"),
    **dict.fromkeys(("y", "label", "labels", "target", "targets"), "y"),
}
"""Large letters are small ones: X, Y and Label, too."""

POSITIONS = {("arr_0",): ("x",), ("arr_0", "arr_1"): ("x", "y")}
"""What `numpy.savez(file, x)` and `numpy.savez(file, x, y)` call them."""

_SPLITS = "|".join(SPLIT_OF)
KEY = re.compile(rf"(?:(?P<field>\w+?)_(?P<last>{_SPLITS})|(?P<first>{_SPLITS})(?:_(?P<rest>\w+))?)", re.IGNORECASE)


def fields_of(names: Collection[str]) -> dict[str, str]:
    """Name -> field. A name stays as it is where it is none of the table, or where two would be one field."""
    if (positions := POSITIONS.get(tuple(names))) is not None:
        return dict(zip(names, positions, strict=True))
    meant = {name: FIELD_OF.get(name.lower(), name) for name in names}
    return {
        name: name if field in names or list(meant.values()).count(field) > 1 else field
        for name, field in meant.items()
    }


def splits_of(names: Collection[str]) -> dict[str, str] | None:
    """Name -> split, where all are names of splits, each of another one; else None."""
    found = {name: SPLIT_OF.get(name.lower()) for name in names}
    splits = [split for split in found.values() if split is not None]
    if not names or len(splits) < len(names):
        return None
    if len(set(splits)) < len(splits):
        raise PyrovaeError(f"{', '.join(names)} name a split twice: leave one out")
    return {name: split for name, split in found.items() if split is not None}


def inputs_of(inputs: tuple[str, ...], fields: Collection[str]) -> tuple[str, ...]:
    """The fields that a pair reads, each by the name that the data have of it, where the table knows it by another."""
    return tuple(name if name in fields else meant(name, fields) or name for name in inputs)


def meant(name: str, fields: Collection[str]) -> str | None:
    """The one field that a name is another word for; None where there is none."""
    field = FIELD_OF.get(name.lower())
    return field if field in fields else None


def by_split(arrays: Mapping[str, object], where: str) -> dict[str, object]:
    """Sorts names that carry a split (`x_train`, `train_images`, `test`) into split -> field; others are fields."""
    splits: dict[str, dict[str, object]] = {}
    plain = [name for name in arrays if not KEY.fullmatch(name)]
    if plain and len(plain) < len(arrays):
        raise PyrovaeError(
            f"{where} mixes '{plain[0]}' with names that carry a split: give all of them a split, or none"
        )
    if plain:
        called = fields_of(arrays)
        return {called[name]: array for name, array in arrays.items()}
    for name, array in arrays.items():
        match = KEY.fullmatch(name)
        assert match is not None
        given = match["field"] or match["rest"] or "x"
        field = FIELD_OF.get(given.lower(), given)
        fields = splits.setdefault(SPLIT_OF[(match["last"] or match["first"]).lower()], {})
        if field in fields:
            raise PyrovaeError(f"{where} holds '{name}' under a second name: leave one out")
        fields[field] = array
    return dict(splits)
