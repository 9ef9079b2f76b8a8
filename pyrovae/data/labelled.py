"""Data of which some training labels are kept and the others hidden, for semi-supervised pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from pyrovae.data.dataset import SPLITS, TRUTH, Dataset, Split
from pyrovae.data.stored import Column, Stored
from pyrovae.errors import UsageError


def with_labels(dataset: Dataset, count: int | None, seed: int = 0, share: float | None = None) -> Dataset:
    """The same data with `count` training labels kept, as equally over the classes as they allow; the others are -1.

    All labels of `valid` and `test` are hidden, so that these are scored as unlabelled data; the true ones of all
    splits stand in the column `truth`. The field y says which share of the training rows is labelled.

    Args:
        dataset: with a field y of classes.
        count: of labels; None keeps all there are.
        seed: of the draw.
        share: of the training rows that is to be labelled: labelled rows are repeated until it is reached, and count
            as often in the training ELBO. None has each row once.

    Raises:
        UsageError: where y is no label, there are fewer labels than `count` or classes without one, or more rows are
            labelled already than `share` says.
    """
    y = dataset.named_fields()["y"]
    if y.kind != "category" or y.size is None:
        raise UsageError(f"the labels are the field y, and that of data '{dataset.name}' is no class: take other data")
    truth = {split: _tensor(dataset.columns[split]["y"]) for split in SPLITS}
    labelled = chosen(truth["train"], y.size, count, seed, dataset.name)
    hidden = torch.full_like(truth["train"], -1)
    hidden[labelled] = truth["train"][labelled]
    columns: dict[Split, Mapping[str, Column]] = {
        split: {**dataset.columns[split], "y": torch.full_like(truth[split], -1), TRUTH: truth[split]}
        for split in SPLITS
    }
    columns["train"] = {**columns["train"], "y": hidden}
    n, labels = len(hidden), len(labelled)
    if share is not None:
        extra = repeats(n, labels, share)
        rows = torch.cat([torch.arange(n), labelled[torch.arange(extra) % labels]])
        columns["train"] = {
            name: column.select(rows) if isinstance(column, Stored) else column[rows]
            for name, column in columns["train"].items()
        }
        n, labels = n + extra, labels + extra
    return dataclasses.replace(
        dataset,
        fields={**dataset.fields, "y": dataclasses.replace(y, labelled=labels / n)},
        columns=columns,
        description={**dataset.description, "labels": len(labelled), "labelled_share": labels / n},
    )


def chosen(labels: Tensor, classes: int, count: int | None, seed: int, name: str) -> Tensor:
    """The rows whose labels are kept, in their order."""
    known = (labels >= 0).nonzero().flatten()
    if count is None:
        return known
    present = len(labels[known].unique())
    if count > len(known):
        raise UsageError(f"labels = {count}, and the training data '{name}' have {len(known)}: give at most as many")
    if count < present:
        raise UsageError(f"labels = {count} leave some of {present} classes without one: give at least {present}")
    mixed = known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))]
    # The place of each row in its own class: the first ones of all classes come first.
    place = torch.empty_like(mixed)
    for label in range(classes):
        members = labels[mixed] == label
        place[members] = torch.arange(int(members.sum()))
    return mixed[place.argsort(stable=True)[:count]].sort().values


def repeats(n: int, labels: int, share: float) -> int:
    """How many more labelled rows there must be beside n, so that they are a `share` of all."""
    if labels > share * n:
        raise UsageError(
            f"labelled_share = {share:g}, and {labels / n:g} of the training rows are labelled already: leave it out"
        )
    return round((share * n - labels) / (1 - share))


def _tensor(column: Column) -> Tensor:
    return column[:] if isinstance(column, Stored) else column
