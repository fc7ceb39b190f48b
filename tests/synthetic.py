"""Generated cells, for tests: every number decided by the seed."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def cell_labels(shape: tuple[int, int], num_cells: int, seed: int = 0, radius: float = 12.0) -> NDArray[np.uint16]:
    """Discs cut off where two would overlap, so that many touch: a Voronoi diagram of their centres."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform((0, 0), shape, (num_cells, 2))
    yx = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(yx[:, :, None] - centres, axis=-1)
    nearest = distance.argmin(axis=-1)
    return np.where(distance.min(axis=-1) < radius, nearest + 1, 0).astype(np.uint16)


def cell_image(labels: NDArray[np.uint16], seed: int = 0) -> NDArray[np.uint8]:
    """Bright cells with dark rims, each of its own brightness, on a dark and noisy background."""
    rng = np.random.default_rng(seed)
    brightness = np.append(30, rng.uniform(110, 170, int(labels.max())))[labels]
    rim = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    brightness = np.where(rim & (labels > 0), 60, brightness)
    return np.clip(brightness + rng.normal(0, 12, labels.shape), 0, 255).astype(np.uint8)
