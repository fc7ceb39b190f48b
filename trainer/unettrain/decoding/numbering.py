"""Numbering of the instances of a slice in scan order of their first pixels, and their growth into the background."""

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.growing import grow_rows
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import Strip


class Numbering:
    """Numbers the objects of slices in the order in which strips show them, from 1 on over all slices."""

    def __init__(self, grow_px: int) -> None:
        self.count = 0
        self._grow_px = grow_px

    def apply(self, labels: Spool, start: int, strips: list[Strip], objects: NDArray[np.int32]) -> None:
        """Replace parts by numbers of instances, in place, in the rows of a slice, which begin at row `start`.

        `objects` is the object of each part; 0 for parts that are dropped.
        """
        numbers = np.zeros(len(objects), np.int32)
        above = np.zeros((0, labels.width), np.int32)  # objects of the rows above, which have been replaced
        for strip in strips:
            rows = strip.last - strip.first
            below = min(strips[-1].last, strip.last + self._grow_px)
            own = objects[labels.read(start + strip.first, start + below)]
            window = np.concatenate([above, own])
            grown = grow_rows(window, len(above), len(above) + rows, self._grow_px)
            self._number(grown, numbers)
            labels.write(start + strip.first, numbers[grown])
            above = window[max(0, len(above) + rows - self._grow_px) : len(above) + rows]

    def _number(self, objects: NDArray[np.int32], numbers: NDArray[np.int32]) -> None:
        """Give the next numbers to objects that have none, in scan order."""
        seen, firsts = np.unique(objects, return_index=True)
        new = seen[np.argsort(firsts)]
        new = new[(new > 0) & (numbers[new] == 0)]
        numbers[new] = np.arange(self.count + 1, self.count + 1 + len(new))
        self.count += len(new)
