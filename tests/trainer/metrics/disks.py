"""Labels of disks, and a proposal of them with missed, moved and merged ones; integer arithmetic alone."""

import numpy as np
from numpy.typing import NDArray


def disks(num: int, side: int, seed: int) -> NDArray[np.int32]:
    """Overlapping disks of radius 5 to 10 on a square; those with higher numbers are on top."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    y, x = np.mgrid[:side, :side]
    for k in range(1, num + 1):
        (y0, x0), radius = rng.integers(0, side, 2), 5 + rng.integers(0, 6)
        labels[(y - y0) ** 2 + (x - x0) ** 2 <= radius**2] = k
    return labels


def proposed(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Every seventh disk is missing, every fifth one part of that before it, and all move by up to 3 pixels."""
    found = np.zeros_like(labels)
    for k in range(1, labels.max() + 1):
        if k % 7:
            found[np.roll(labels == k, (k % 4, k // 4 % 3), (0, 1))] = k - 1 if k % 5 == 0 else k
    return found
