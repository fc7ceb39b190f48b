"""Numbering of the instances of slices in scan order of their first pixels, and their growth into the background."""

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.growing import grow_rows
from unetprep.kernels.numbering import count_classes, number_in_order
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import Strip


class Numbering:
    """Numbers the objects of slices in the order in which strips show them, from 1 on over all slices.

    With `num_classes` it counts the pixels of each class in each instance.
    """

    def __init__(self, grow_px: int, num_classes: int = 0) -> None:
        self.count = 0
        self._grow_px = grow_px
        self._num_classes = num_classes
        self._votes = np.zeros((1, num_classes), np.int64)

    def apply(
        self, labels: Spool, start: int, strips: list[Strip], objects: NDArray[np.int32], classes: Spool | None = None
    ) -> None:
        """Replace parts by numbers of instances, in place, in the rows of a slice, which begin at row `start`.

        `objects` is the object of each part, 0 for parts that are dropped; `classes` the class of each pixel (y, x).
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
            if classes is not None:
                self._vote(grown, classes.read(*strip))
            above = window[max(0, len(above) + rows - self._grow_px) : len(above) + rows]

    def _vote(self, labels: NDArray[np.int32], classes: NDArray[np.uint8]) -> None:
        if self.count >= len(self._votes):
            more = np.zeros((2 * self.count + 1 - len(self._votes), self._num_classes), np.int64)
            self._votes = np.concatenate([self._votes, more])
        count_classes(labels, classes, self._votes)

    def classes(self) -> NDArray[np.uint8]:
        """The class of most pixels of each instance, of equally frequent ones the smallest; 0 for background."""
        classes = np.zeros(self.count + 1, np.uint8)
        votes = self._votes[: self.count + 1]
        classes[: len(votes)] = votes.argmax(axis=1)
        classes[0] = 0
        return classes
