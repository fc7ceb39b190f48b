"""Pictures of arrays: images scaled to their display range, and colours of cells such that neighbours differ.

The colours of cells are those of Okabe and Ito (2008), told apart by all kinds of colour vision; black is left for the
background.
"""

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

COLOURS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.float64,
)  # fmt: skip


Colour = NDArray[np.float64]  # red, green, blue; 0 to 255


def display_range(image: NDArray[Any]) -> tuple[float, float]:
    """The values shown black and white: the percentiles 0.5 and 99.8, so that no hot pixel decides."""
    low, high = np.percentile(image, (0.5, 99.8))
    return float(low), float(high) if high > low else float(low) + 1


def grey(image: NDArray[Any], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """An image (c, y, x) for display, (y, x, 3): three channels as red, green and blue, otherwise their mean as grey.

    `limits` are the values shown black and white, by default the display range of what is shown.
    """
    channels = image.astype(np.float64) if image.shape[0] == 3 else image.mean(axis=0, dtype=np.float64)[None]
    low, high = limits or display_range(channels)
    scaled = (np.clip((channels - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0))


def colours_of_cells(labels: NDArray[np.integer]) -> dict[int, Colour]:
    """A colour for each cell of labels (y, x), unlike those of the cells around it."""
    beside = _neighbours(labels)
    chosen: dict[int, int] = {}
    for cell in sorted(beside):
        first = _scrambled(cell)
        order = [(first + k) % len(COLOURS) for k in range(len(COLOURS))]
        taken = [chosen.get(other) for other in beside[cell]]
        chosen[cell] = min(order, key=taken.count)
    return {cell: COLOURS[k] for cell, k in chosen.items()}


def _neighbours(labels: NDArray[np.integer]) -> dict[int, set[int]]:
    """For each cell the cells around it: those whose surroundings, the pixels nearest to them, meet its own."""
    found: dict[int, set[int]] = defaultdict(set)
    if not (labels > 0).any():
        return found
    places = distance_transform_edt(labels <= 0, return_distances=False, return_indices=True)
    nearest = labels[tuple(places)]
    found |= {int(cell): set() for cell in np.unique(nearest)}
    for here, there in ((nearest[1:], nearest[:-1]), (nearest[:, 1:], nearest[:, :-1])):
        meet = here != there
        for a, b in np.unique(np.stack([here[meet], there[meet]], axis=1), axis=0):
            found[int(a)].add(int(b))
            found[int(b)].add(int(a))
    return found


def _scrambled(number: int) -> int:
    """As good as random, and always the same (Knuth's multiplicative hash)."""
    return (number * 2654435761 >> 16) & 0xFFFF
