"""Joining of the parts of instances that were found strip by strip.

Each strip is labelled on its own by `of`, which threads may call. Its parts are then counted on from those of earlier
strips and joined to them, by `add`, in the order of the strips. `objects` says at the end which parts are one object.
A few numbers for each part and contact are held, and no pixels.
"""

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.basin_merging import Peaks, highest_passes, merge_basins
from unetprep.kernels.basins import Edge, Parts, label_basins, seam
from unetprep.kernels.numbering import count_pixels
from unetprep.kernels.strip_components import label_strip, touching
from unetprep.kernels.union_find import DisjointSets
from unettrain.decoding.landscape import Landscape
from unettrain.decoding.spool import Spool
from unettrain.decoding.strips import Strip
from unettrain.errors import Failure

MOST_PARTS = 2**31 - 2

Found = TypeVar("Found")


class PartFinder(Protocol[Found]):
    """Finds the parts of strips, and joins them."""

    sizes: "PartSizes"

    def of(self, strip: Strip) -> Found:
        """The parts of one strip."""

    def add(self, strip: Strip, parts: Found) -> NDArray[np.int32]:
        """Join the parts of the next strip to those before; their labels (rows, x), counted over all strips."""

    def objects(self, min_depth: float) -> NDArray[np.int32]:
        """For each part 0, 1, ... the smallest number of the parts of its object; 0 for part 0, the background."""


@dataclass
class PartSizes:
    """Numbers of pixels of the parts of a slice."""

    _sizes: list[NDArray[np.int64]] = field(default_factory=lambda: [np.zeros(1, np.int64)])
    count: int = 0

    def add(self, labels: NDArray[np.int32], num: int) -> None:
        """Count the pixels of the parts 1 to `num` of a strip, which are counted on from those before."""
        if self.count + num > MOST_PARTS:
            raise Failure(
                f"a slice has more than {self.count} parts of instances", allowed=f"{MOST_PARTS}", hint="smooth it"
            )
        self._sizes.append(count_pixels(labels, num)[1:])
        self.count += num

    def of_objects(self, objects: NDArray[np.int32]) -> NDArray[np.int64]:
        """Pixels of each object, at its smallest part; 0 for the background and at other parts."""
        sizes = np.zeros(len(objects), np.int64)
        np.add.at(sizes, objects, np.concatenate(self._sizes))
        return sizes


def counted_on(labels: NDArray[np.int32], before: int) -> NDArray[np.int32]:
    """Labels of a strip, counted on from `before`; 0 stays 0."""
    if before:
        np.add(labels, np.int32(before), out=labels, where=labels > 0)
    return labels


def part_sets() -> DisjointSets:
    """Sets of parts, with the background as part 0."""
    sets = DisjointSets()
    sets.add(1)
    return sets


class ComponentParts:
    """Parts of the connected components of the pixels of a mask (y, x) in a spool that equal `value`."""

    def __init__(self, mask: Spool, value: int = 1, diagonal: bool = False) -> None:
        self._mask, self._value, self._diagonal = mask, value, diagonal
        self._last = np.zeros(mask.width, np.int32)
        self._sets = part_sets()
        self.sizes = PartSizes()

    def of(self, strip: Strip) -> tuple[NDArray[np.int32], int]:
        """The components of one strip, and their number."""
        return label_strip(self._mask.read(*strip), self._value, self._diagonal)

    def add(self, strip: Strip, parts: tuple[NDArray[np.int32], int]) -> NDArray[np.int32]:
        """Join the next strip; its labels."""
        labels, num = parts
        before = self.sizes.count
        self.sizes.add(labels, num)
        labels = counted_on(labels, before)
        self._sets.add(num)
        self._sets.join(touching(self._last, labels[0], self._diagonal))
        self._last = labels[-1].copy()
        return labels

    def objects(self, min_depth: float = 1.0) -> NDArray[np.int32]:
        """For each part the smallest number of the parts of its component, whatever the depth."""
        return self._sets.all_smallest()


class WatershedParts:
    """Parts of the basins of a landscape, which are merged by prominence."""

    def __init__(self, landscape: Landscape, width: int) -> None:
        self._landscape, self._width = landscape, width
        self._last: Edge | None = None
        self._sets = part_sets()
        self._peaks: list[Peaks] = [Peaks(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))]
        self._recent = np.zeros((0, 3), np.int32)  # contacts of the strip before
        self._contacts = [self._recent]
        self.sizes = PartSizes()

    def of(self, strip: Strip) -> tuple[Parts, NDArray[np.uint16]]:
        """The basins of one strip, and the heights of its first and last row."""
        heights = self._landscape.of(strip)
        return label_basins(heights), heights[[1, -2], 1:-1]

    def add(self, strip: Strip, parts: tuple[Parts, NDArray[np.uint16]]) -> NDArray[np.int32]:
        """Join the next strip; its labels."""
        found, (first_heights, last_heights) = parts
        before = self.sizes.count
        self.sizes.add(found.labels, len(found.peaks))
        self._sets.add(len(found.peaks))
        labels = counted_on(found.labels, before)
        self._add_peaks(found, before, strip.first * self._width)
        contacts = found.contacts + np.array([before, before, 0], np.int32)
        if self._last is not None:
            between = seam(self._last, Edge(labels[0], first_heights, found.exits[0]))
            self._sets.join(between.same)
            self._contacts.append(self._of_basins(np.concatenate([self._recent, between.contacts])))
        self._recent = contacts
        self._last = Edge(labels[-1].copy(), last_heights, found.exits[1])
        return labels

    def _add_peaks(self, found: Parts, before: int, start: int) -> None:
        is_peak = np.flatnonzero(found.peaks)
        parts = (is_peak + before + 1).astype(np.int32)
        self._peaks.append(Peaks(parts, found.peaks[is_peak], found.places[is_peak] + start))

    def _of_basins(self, contacts: NDArray[np.int32]) -> NDArray[np.int32]:
        """Contacts of parts as those of the basins known so far, of each pair the highest: far fewer."""
        return highest_passes(np.column_stack([self._sets.smallest(contacts[:, :2]), contacts[:, 2]]))

    def objects(self, min_depth: float) -> NDArray[np.int32]:
        """For each part the smallest number of the parts of its object."""
        peaks = Peaks(*(np.concatenate(column) for column in zip(*self._peaks, strict=True)))
        self._contacts, self._recent = [np.concatenate([*self._contacts, self._recent])], self._recent[:0]
        (contacts,) = self._contacts  # there may be as many as a quarter of the pixels, so without copies
        contacts[:, :2] = self._sets.smallest(contacts[:, :2])
        return merge_basins(self._sets.all_smallest(), peaks, contacts, min_depth)
