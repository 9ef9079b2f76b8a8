"""Bootstrap intervals of means over data (Efron 1979).

Bradley Efron: Bootstrap Methods: Another Look at the Jackknife. The Annals of Statistics 7, 1979.
"""

import numpy as np

LEVEL, RESAMPLES = 0.95, 4000

AT_ONCE = 2**22
"""Counts that are held at once."""


def mean_interval(
    values: np.ndarray, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The percentile interval of the mean over the last dim, for other data of the same kind.

    All means are of the same resamples, which are the same at every call with as many data. The interval of a mean
    difference is that of the differences, `mean_interval(a - b)`: the data are then resampled in pairs.

    Args:
        values: (..., N), one for each datum.
        level: how often the interval holds the mean, about.
        resamples: how often N data are drawn out of N, with replacement.
        seed: of these draws.

    Returns:
        Lower and upper ends, (...); NaN where N < 2 or a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    *shape, n = values.shape
    flat = values.reshape(-1, n)
    known = np.isfinite(flat).all(1)
    low, high = np.full((2, len(flat)), np.nan)
    if n > 1 and known.any():
        flat, draw, means = flat[known], np.random.default_rng(seed), []
        # Around their mean the values lose no digits in the sum.
        centre = flat.mean(1, keepdims=True)
        for start in range(0, resamples, max(1, AT_ONCE // n)):
            count = min(resamples - start, max(1, AT_ONCE // n))
            rows = draw.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
            times = np.bincount(rows.ravel(), minlength=count * n).reshape(count, n)  # each datum was drawn so often
            means.append(times @ (flat - centre).T / n)
        tail = (1 - level) / 2
        low[known], high[known] = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0) + centre[:, 0]
    return low.reshape(shape), high.reshape(shape)
