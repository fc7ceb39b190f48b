"""Foreground probabilities for tests."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]


def discs(shape: tuple[int, int], *cells: tuple[float, float, float]) -> Image:
    """Probability 1 in the discs (y, x, radius), 0 elsewhere."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.any([(y - a) ** 2 + (x - b) ** 2 < r**2 for a, b, r in cells], axis=0), np.float32)


def blobs(shape: tuple[int, int], seed: int) -> Image:
    """Smooth random probabilities from 0 to 1."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 3)
    return np.asarray((values - values.min()) / (values.max() - values.min()), np.float32)


def random_cells(shape: tuple[int, int], num: int, seed: int) -> Image:
    """Discs of radius 7 to 11 on a jittered grid, many of which touch or overlap a little."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(num**0.5))
    grid = np.stack(np.divmod(np.arange(num), side), axis=1) + rng.uniform(0.35, 0.65, (num, 2))
    centres = grid * (np.array(shape) / side)
    return discs(shape, *((y, x, r) for (y, x), r in zip(centres, rng.uniform(7, 11, num), strict=True)))
