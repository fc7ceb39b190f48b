"""Basins of steepest ascent of a landscape inside a mask, strip by strip.

Each pixel leads to its highest neighbour, of equal ones to that later in scan order, until a pixel has no higher one:
a peak. All pixels that lead to one peak are its basin. Only a pixel's neighbours decide where it leads, so basins are
the same for any strips. Within a strip, pixels that leave it by one pixel of its first or last row form a part, which
`exits` joins to the part of the next strip that they lead to.

    strip 1    a a b b      b leads down out of the strip: a part without a peak, joined to the part of c below
    strip 2    a c c c

A diagonal step needs a mask pixel beside it, so that no basin leaves a 4-connected component of the mask.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

SLOTS = 4096  # of the cache by which most repetitions of a contact are avoided
NO_EXIT = -1
END = 0  # the step of a pixel that leads to none within the strip


class Parts(NamedTuple):
    """Basins, or parts of basins, of a strip, numbered 1, 2, ... in scan order of their first pixels."""

    labels: NDArray[np.int32]  # (rows, x); 0 outside the mask
    peaks: NDArray[np.int32]  # (parts,) height of the peak; 0 for a part that leads out of the strip
    places: NDArray[np.int64]  # (parts,) where its peak is: pixel of the strip in scan order
    exits: NDArray[np.int32]  # (2, x) column that a pixel of the first row leads to above, of the last row below; or -1
    contacts: NDArray[np.int32]  # (contacts, 3) two parts that touch, and the height of the pass; may repeat


def label_basins(heights: NDArray[np.uint16]) -> Parts:
    """Basins of a strip. `heights` is (1 + rows + 1, 1 + x + 1) uint16, 0 outside the mask and the image.

    Its first and last row are those of the adjacent strips, and its first and last column 0.
    """
    rows, width = heights.shape[0] - 2, heights.shape[1] - 2
    labels, exits = np.zeros(heights.shape, np.int32), np.full((2, width), NO_EXIT, np.int32)
    steps = np.full(heights.shape, END, np.uint8)
    num_ends = _lead(heights, steps, exits)
    peaks, places = np.zeros(num_ends, np.int32), np.zeros(num_ends, np.int64)
    num = _label(heights.ravel(), heights.shape[1], steps.ravel(), exits, labels.ravel(), peaks, places)
    assert num == num_ends
    contacts = _contacts(heights, labels)
    return Parts(labels[1 : rows + 1, 1 : width + 1], peaks, places, exits, contacts)


@njit(nogil=True, cache=True, forceinline=True)
def _beside(height, a, b):  # type: ignore[no-untyped-def]
    """The height of a diagonal neighbour, 0 if neither of the pixels beside the step is in the mask."""
    return height if (a > 0) | (b > 0) else np.uint16(0)


@njit(nogil=True, cache=True, forceinline=True)
def _higher(height, number, best, step):  # type: ignore[no-untyped-def]
    return (height, np.uint8(number)) if height >= best else (best, step)


@njit(nogil=True, cache=True)
def _lead_row(above, here, below, steps):  # type: ignore[no-untyped-def]
    """For each pixel the offset, by index, of its highest neighbour; of equal ones the last in scan order."""
    for x in range(1, len(here) - 1):
        north, west, east, south, own = above[x], here[x - 1], here[x + 1], below[x], here[x]
        best, step = _beside(above[x - 1], north, west), np.uint8(1)
        best, step = _higher(north, 2, best, step)
        best, step = _higher(_beside(above[x + 1], north, east), 3, best, step)
        best, step = _higher(west, 4, best, step)
        best, step = _higher(own, END, best, step)
        best, step = _higher(east, 5, best, step)
        best, step = _higher(_beside(below[x - 1], south, west), 6, best, step)
        best, step = _higher(south, 7, best, step)
        best, step = _higher(_beside(below[x + 1], south, east), 8, best, step)
        steps[x] = step if own > 0 else np.uint8(END)


@njit(nogil=True, cache=True)
def _lead(heights, steps, exits):  # type: ignore[no-untyped-def]
    """Steps of all pixels within the strip; pixels that lead out of it are ends. Returns the number of ends."""
    rows, width, num_ends = heights.shape[0] - 2, heights.shape[1] - 2, 0
    for y in range(1, rows + 1):
        _lead_row(heights[y - 1], heights[y], heights[y + 1], steps[y])
    for x in range(1, width + 1):
        if 1 <= steps[1, x] <= 3:
            exits[0, x - 1] = x - 1 + np.int32(steps[1, x]) - 2
            steps[1, x] = END
        if steps[rows, x] >= 6:
            exits[1, x - 1] = x - 1 + np.int32(steps[rows, x]) - 7
            steps[rows, x] = END
    for y in range(1, rows + 1):
        for x in range(1, width + 1):
            num_ends += (steps[y, x] == END) & (heights[y, x] > 0)
    return num_ends


@njit(nogil=True, cache=True, forceinline=True)
def _offsets(stride):  # type: ignore[no-untyped-def]
    return np.array([0, -stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1])


@njit(nogil=True, cache=True)
def _label(heights, stride, steps, exits, labels, peaks, places):  # type: ignore[no-untyped-def]
    """Follow the steps from every pixel to its end, and number ends as they are first met. Returns their number."""
    offsets = _offsets(stride)
    rows, num = len(heights) // stride - 2, 0
    for y in range(1, rows + 1):
        for x in range(1, stride - 1):
            here = y * stride + x
            if heights[here] == 0 or labels[here]:
                continue
            end = here
            while labels[end] == 0 and steps[end] != END:
                end += offsets[steps[end]]
            if labels[end] == 0:
                num += 1
                labels[end] = num
                places[num - 1] = (end // stride - 1) * (stride - 2) + end % stride - 1
                column = end % stride - 1
                leaves_above = end // stride == 1 and exits[0, column] != NO_EXIT
                leaves_below = end // stride == rows and exits[1, column] != NO_EXIT
                if not (leaves_above or leaves_below):
                    peaks[num - 1] = heights[end]
            label = labels[end]
            while here != end:
                labels[here] = label
                here += offsets[steps[here]]
    return num


@njit(nogil=True, cache=True, forceinline=True)
def _differs(a, b):  # type: ignore[no-untyped-def]
    return (a > 0) & (b > 0) & (a != b)


@njit(nogil=True, cache=True)
def _mark_contacts(here, below, marks):  # type: ignore[no-untyped-def]
    """Mark pixels that touch another part on the right or below; vectorized."""
    for x in range(1, len(here) - 1):
        a = here[x]
        marks[x] = (
            _differs(a, here[x + 1]) | _differs(a, below[x - 1]) | _differs(a, below[x]) | _differs(a, below[x + 1])
        )


@njit(nogil=True, cache=True)
def _contacts(heights, labels):  # type: ignore[no-untyped-def]
    """Pairs of parts that touch within the strip, with heights of passes, among them the highest of each pair."""
    found, num = np.empty((1024, 3), np.int32), 0
    slots, marks = np.full(SLOTS, -1), np.zeros(heights.shape[1], np.bool_)
    for y in range(1, heights.shape[0] - 1):
        _mark_contacts(labels[y], labels[y + 1], marks)
        for x in range(1, heights.shape[1] - 1):
            if not marks[x]:
                continue
            if num + 4 > len(found):
                found = np.concatenate((found, np.empty_like(found)))
            a, height = labels[y, x], heights[y, x]
            for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
                b = labels[y + dy, x + dx]
                is_beside = dy == 0 or dx == 0 or heights[y + 1, x] > 0 or heights[y, x + dx] > 0
                if is_beside and _differs(a, b):
                    num = _add(found, num, slots, min(a, b), max(a, b), min(height, heights[y + dy, x + dx]))
    return found[:num].copy()


@njit(nogil=True, cache=True)
def _add(found, num, slots, a, b, height):  # type: ignore[no-untyped-def]
    slot = (a * 31 + b * 17) % SLOTS
    k = slots[slot]
    if k >= 0 and found[k, 0] == a and found[k, 1] == b:
        found[k, 2] = max(found[k, 2], height)
        return num
    slots[slot] = num
    found[num, 0], found[num, 1], found[num, 2] = a, b, height
    return num + 1


class Seam(NamedTuple):
    """What joins a strip to the next one, in parts counted over all strips, see `joined_strips`."""

    same: NDArray[np.int32]  # (pairs, 2) parts of one basin
    contacts: NDArray[np.int32]  # (contacts, 3) two parts that touch, and the height of the pass


class Edge(NamedTuple):
    """A row of a strip: labels and heights (x), and the columns that its pixels lead to in the adjacent strip."""

    labels: NDArray[np.int32]
    heights: NDArray[np.uint16]
    exits: NDArray[np.int32]


def seam(above: Edge, below: Edge) -> Seam:
    """Join the last row of a strip to the first row of the next one."""
    same = []
    for source, target in ((above, below), (below, above)):
        leading = np.flatnonzero(source.exits != NO_EXIT)
        same.append(np.stack([source.labels[leading], target.labels[source.exits[leading]]], axis=1))
    contacts = _seam_contacts(above.labels, above.heights, below.labels, below.heights)
    return Seam(np.concatenate(same), contacts)


@njit(nogil=True, cache=True)
def _seam_contacts(labels, heights, labels_below, heights_below):  # type: ignore[no-untyped-def]
    width = len(labels)
    found, num = np.empty((3 * width, 3), np.int32), 0
    for x in range(width):
        for i in range(max(0, x - 1), min(width, x + 2)):
            a, b = labels[x], labels_below[i]
            if a and b and a != b and (i == x or heights[i] or heights_below[x]):
                found[num, 0], found[num, 1] = min(a, b), max(a, b)
                found[num, 2] = min(heights[x], heights_below[i])
                num += 1
    return found[:num].copy()
