"""Which rows make train, valid and test: the splits of the source stay, what it lacks is cut from its train."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pyrovae.data.dataset import SPLITS, Split
from pyrovae.data.options import DataConfig
from pyrovae.errors import PyrovaeError, UsageError, option

Rows = dict[Split, tuple[Split, Tensor | slice]]


def cut(sizes: Mapping[Split, int], config: DataConfig, name: str) -> Rows:
    """For each split, the split of the source that it comes from and its rows there.

    One permutation by `data_seed` cuts every split that the source lacks, each of `held_out` of its train; a second
    one chooses the rows of `limit_train`. Rows keep the order of the source.

    Args:
        sizes: rows by split, as the source has them; `train` at least.
        config: held_out, data_seed, limit_train.
        name: of the data, for errors.
    """
    for split in sizes:
        if split not in SPLITS:
            raise PyrovaeError(f"data '{name}' has a split '{split}': call it train, valid or test")
        if sizes[split] == 0:
            raise PyrovaeError(f"data '{name}': the {split} split is empty: give it data")
    if "train" not in sizes:
        raise PyrovaeError(f"data '{name}' has no train split, only {', '.join(sizes) or 'nothing'}: give one")
    total = sizes["train"]
    lacking: list[Split] = [split for split in reversed(SPLITS[1:]) if split not in sizes]
    if total <= len(lacking):
        raise PyrovaeError(
            f"data '{name}' has {total} training data, and {' and '.join(lacking)} must be cut from them: give more"
        )
    count = round(config.held_out * total) if config.held_out < 1 else int(config.held_out)
    count = max(count, 1)
    if len(lacking) * count >= total:
        raise UsageError(
            f"{option('held_out', config.held_out)} takes {len(lacking)} x {count} of the {total} training data "
            f"of '{name}': lower it"
        )
    rows: Rows = {split: (split, slice(None)) for split in SPLITS if split in sizes}
    generator = torch.Generator().manual_seed(config.data_seed)
    if lacking:
        order = torch.randperm(total, generator=generator)
        for i, split in enumerate(lacking):
            rows[split] = ("train", order[i * count : (i + 1) * count].sort().values)
        rows["train"] = ("train", order[len(lacking) * count :].sort().values)
    left = total - len(lacking) * count
    if config.limit_train is not None and config.limit_train < left:
        chosen = torch.randperm(left, generator=generator)[: config.limit_train].sort().values
        rows["train"] = ("train", torch.arange(total)[rows["train"][1]][chosen])
    return {split: rows[split] for split in SPLITS}
