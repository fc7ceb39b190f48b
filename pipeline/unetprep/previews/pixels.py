"""Pixel colours of a preview: the image, cells over it, hatching and outlines."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.pictures import Colour, colours_of_cells, grey
from unetprep.previews.weights import Preview

Colours = NDArray[np.uint8]  # (y, x, 3), or (y, x, 4) where it is not opaque everywhere

DARK = 24  # the grey under cells without an image
FILLED, FILLED_ALONE = 0.45, 0.75  # how much of its colour a cell has inside its outline, over an image and without
STRIPES = (150, 205)


def picture(image: NDArray[Any] | None, shape: tuple[int, ...]) -> Colours:
    """An image (c, y, x) for display, as `grey` scales it; nearly black without an image."""
    return np.full((*shape, 3), DARK, np.uint8) if image is None else grey(image)


def cells_over(
    image: NDArray[Any] | None, labels: NDArray[np.integer], colours: dict[int, Colour] | None = None
) -> Colours:
    """Cells in colours that differ from their neighbours', or in given ones, with outlines, over the grey image."""
    colours = colours or colours_of_cells(labels)
    base = picture(image, labels.shape).mean(
        axis=-1, keepdims=True
    )  # grey, so that no stain mixes with a cell's colour
    numbers, places = np.unique(labels, return_inverse=True)
    table = np.stack([colours.get(int(n), np.zeros(3)) for n in numbers])
    filled = FILLED if image is not None else FILLED_ALONE
    part = np.where(labels > 0, np.where(_outlines(labels), 1.0, filled), 0.0)[..., None]
    mixed = (1 - part) * base + part * table[places.reshape(labels.shape)]
    return np.asarray(mixed.round(), np.uint8)


def stripes(mask: NDArray[np.bool_]) -> Colours:
    """Diagonal grey stripes where a mask is true, transparent elsewhere."""
    pitch = max(1, max(mask.shape) // 100)
    y, x = np.indices(mask.shape)
    grey = np.take(STRIPES, (x + y) // pitch % 2)
    return np.stack([grey, grey, grey, 255 * mask], axis=-1).astype(np.uint8)


def edges(preview: Preview) -> NDArray[np.float64]:
    """Lines between pixels of different labels, in image coordinates, as one path (2, point) of x and y.

    Each line joins two corners of a pixel; NaN separates lines.
    """
    labels, gap, corner = preview.instances, (np.nan, np.nan), (preview.x0 + 0.5, preview.y0 + 0.5)
    below = np.argwhere(labels[1:] != labels[:-1])[:, None, ::-1] + np.array([(-1, 0), (0, 0), gap])
    beside = np.argwhere(labels[:, 1:] != labels[:, :-1])[:, None, ::-1] + np.array([(0, -1), (0, 0), gap])
    path: NDArray[np.float64] = np.concatenate([below, beside]).reshape(-1, 2) + np.array(corner)
    return path.T


def _outlines(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels with a neighbour of another label."""
    edge = np.zeros(labels.shape, bool)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = labels[a] != labels[b]
        edge[a] |= differ
        edge[b] |= differ
    return edge
