"""Numbering of the instances of slices in scan order of their first pixels, and their growth into the background."""

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.growing import grow_rows
from unetprep.kernels.numbering import number_in_order
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import Strip


class Numbering:
    """Numbers the objects of slices in the order in which strips show them, from 1 on over all slices."""

    def __init__(self, grow_px: int) -> None:
        self.count = 0
        self._grow_px = grow_px

    def apply(self, labels: Spool, start: int, strips: list[Strip], objects: NDArray[np.int32]) -> None:
        """Replace parts by numbers of instances, in place, in the rows of a slice, which begin at row `start`.

        `objects` is the object of each part, 0 for parts that are dropped.
        """
        numbers = np.zeros(len(objects), np.int32)
        above = np.zeros((0, labels.width), np.int32)  # objects of the rows above, which have been replaced
        for strip in strips:
            rows = strip.last - strip.first
            below = min(strips[-1].last, strip.last + self._grow_px)
            own = objects[labels.read(start + strip.first, start + below)]
            window = np.concatenate([above, own]) if len(above) else own
            grown = grow_rows(window, len(above), len(above) + rows, self._grow_px)
            self.count = number_in_order(grown, numbers, self.count)
            labels.write(start + strip.first, grown)
            above = window[max(0, len(above) + rows - self._grow_px) : len(above) + rows]
