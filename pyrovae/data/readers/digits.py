"""scikit-learn's digits: 1,797 images of 8x8, 17 gray levels, embedded in the package (Alpaydin & Kaynak, 1998)."""

import torch

from pyrovae.data.options import DataConfig
from pyrovae.data.raw import Raw

TEST_SEED = 0


def load(config: DataConfig) -> Raw:
    """360 test images, the same for every `data_seed`, in the proportions of the classes; the rest is train."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    rows = range(len(digits.target))
    train, test = train_test_split(rows, test_size=0.2, random_state=TEST_SEED, stratify=digits.target)
    x = torch.from_numpy(digits.images).to(torch.uint8)  # (1797, 8, 8), 0..16
    y = torch.from_numpy(digits.target)
    return Raw(
        columns={"train": {"x": x[train], "y": y[train]}, "test": {"x": x[test], "y": y[test]}},
        names=tuple(str(name) for name in digits.target_names),
        divisor=16.0,
        gray=True,
    )
