"""The outlines of instances over the image, in 8 bits, band by band."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.pictures import COLOURS, grey

Picture = NDArray[np.uint8]


class Overlay:
    """Draws outlines over bands of an image, from the top.

    A pixel belongs to an outline if its label differs from that of its neighbour above or to the left; lines are one
    pixel wide. `limits` are the values shown black and white.
    """

    def __init__(self, limits: tuple[float, float]) -> None:
        self._limits = limits
        self._above: NDArray[Any] | None = None

    def band(self, labels: NDArray[np.integer], image: NDArray[Any]) -> Picture:
        """The next rows (rows, x, 3), of labels (rows, x) and the image (c, rows, x)."""
        picture = grey(image, self._limits)
        above = labels[:1] if self._above is None else self._above
        rows = np.concatenate([above, labels])
        left = np.concatenate([labels[:, :1], labels[:, :-1]], axis=1)
        for other in (rows[:-1], left):
            edge = labels != other
            number = np.maximum(labels[edge], other[edge])  # of an edge to the background, the instance
            picture[edge] = COLOURS[number % len(COLOURS)].astype(np.uint8)
        self._above = labels[-1:].copy()
        return picture
