"""Pictures of images and labels: contrast, cells in colour, and the boundaries between labels.

The colours of cells are those of Okabe and Ito (2008), which all kinds of colour vision distinguish; black is left for
the background.
"""

from collections import defaultdict
from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

COLOURS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.float64,
)  # fmt: skip
DARK = 24  # the grey under cells without an image
FILLED, FILLED_ALONE = 0.45, 0.75  # opacity of a cell inside its outline, over an image and without one

Colour = NDArray[np.float64]  # red, green, blue; 0 to 255
Picture = NDArray[np.uint8]  # (y, x, 3)
Run = tuple[int, int, int]  # row, start, length

# -- contrast ---------------------------------------------------------------------------------------------------------


def display_range(image: NDArray[Any]) -> tuple[float, float]:
    """The values shown black and white: the percentiles 0.5 and 99.8, so that hot pixels have no influence."""
    low, high = np.percentile(image, (0.5, 99.8))
    return float(low), float(high) if high > low else float(low) + 1


def grey(image: NDArray[Any], limits: tuple[float, float] | None = None) -> Picture:
    """An image (c, y, x) for display, (y, x, 3): three channels as red, green and blue, otherwise their mean as grey.

    `limits` are the values shown black and white, by default the display range of the channels that are shown.
    """
    channels = image.astype(np.float64) if image.shape[0] == 3 else image.mean(axis=0, dtype=np.float64)[None]
    low, high = limits or display_range(channels)
    scaled = (np.clip((channels - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    return np.array(np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0), order="C")  # may be drawn on


def picture(image: NDArray[Any] | None, shape: tuple[int, ...]) -> Picture:
    """An image (c, y, x) for display, as `grey` scales it; nearly black without an image."""
    return np.full((*shape, 3), DARK, np.uint8) if image is None else grey(image)


# -- cells in colour --------------------------------------------------------------------------------------------------


def cells_over(
    image: NDArray[Any] | None, labels: NDArray[np.integer], colours: Mapping[int, Colour] | None = None
) -> Picture:
    """Cells of labels (y, x) filled with a colour and outlined, over the grey image or a dark background.

    `colours` are those of the cells, by default colours by which neighbours differ. Labels below 1 are not coloured.
    """
    colours = colours or colours_of_cells(labels)
    base = picture(image, labels.shape).mean(axis=-1, keepdims=True)  # grey, so that no stain mixes with a cell
    numbers, places = np.unique(labels, return_inverse=True)
    table = np.stack([colours.get(int(n), np.zeros(3)) for n in numbers])
    filled = FILLED if image is not None else FILLED_ALONE
    part = np.where(labels > 0, np.where(boundary_pixels(labels), 1.0, filled), 0.0)[..., None]
    mixed = (1 - part) * base + part * table[places.reshape(labels.shape)]
    return np.asarray(mixed.round(), np.uint8)


def colours_of_cells(labels: NDArray[np.integer]) -> dict[int, Colour]:
    """A colour for each cell of labels (y, x), different from those of its neighbours."""
    return {cell: COLOURS[k] for cell, k in choose_colours(neighbours(labels), len(COLOURS)).items()}


def choose_colours(beside: Mapping[int, Set[int]], num_colours: int) -> dict[int, int]:
    """A colour, 0 to `num_colours` - 1, for each cell: the one that the fewest of its neighbours have.

    It begins the search at a hash of the number of the cell, so that all colours are used about equally often.
    """
    chosen: dict[int, int] = {}
    for cell in sorted(beside):
        first = _hash(cell)
        order = [(first + k) % num_colours for k in range(num_colours)]
        taken = [chosen.get(other) for other in beside[cell]]
        chosen[cell] = min(order, key=taken.count)
    return chosen


def neighbours(labels: NDArray[np.integer]) -> dict[int, set[int]]:
    """For each cell the cells whose regions border on its own; the region of a cell are the pixels nearest to it."""
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


def _hash(number: int) -> int:
    """A pseudorandom number that depends on `number` alone (Knuth's multiplicative hash)."""
    return (number * 2654435761 >> 16) & 0xFFFF


# -- boundaries -------------------------------------------------------------------------------------------------------


def boundary_pixels(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of labels (y, x) that have a neighbour of another label along y or x."""
    edge = np.zeros(labels.shape, bool)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = labels[a] != labels[b]
        edge[a] |= differ
        edge[b] |= differ
    return edge


def boundary_lines(labels: NDArray[Any]) -> tuple[list[Run], list[Run]]:
    """Lines between pixels of different labels: horizontal ones (y, x, length), and vertical ones (x, y, length).

    Coordinates are those of pixel corners: (0, 0) is the upper left corner of the first pixel.
    """
    across = [(y + 1, x, n) for y, x, n in _runs(labels[1:] != labels[:-1])]
    down = [(x + 1, y, n) for x, y, n in _runs((labels[:, 1:] != labels[:, :-1]).T)]
    return across, down


def _runs(mask: NDArray[np.bool_]) -> list[Run]:
    """Every run of true values in a row of a mask."""
    steps = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [(int(y), int(a), int(b - a)) for (y, a), b in zip(starts, ends[:, 1], strict=True)]
