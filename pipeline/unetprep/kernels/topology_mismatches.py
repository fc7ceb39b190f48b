"""Classes of pixels in which two masks differ topologically, after one has been warped towards the other.

The warped mask has those pixels of the other one that could be reached by flipping simple points. Each pixel left would
change the topology, and the objects around it tell how (Jain et al. 2010).
"""

from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

RADIUS_PX = 20  # of the window in which the removal of a pixel divides an object or not


class Mismatch(IntEnum):
    """What the proposal has, at a pixel in which it differs topologically from the labels."""

    NONE = 0
    SPLIT = 1  # background that divides an object of the labels
    MERGE = 2  # object pixels that join objects of the labels
    HOLE_ADDED = 3
    HOLE_DELETED = 4
    OBJECT_ADDED = 5
    OBJECT_DELETED = 6


SPLIT, MERGE = int(Mismatch.SPLIT), int(Mismatch.MERGE)
HOLE_ADDED, HOLE_DELETED = int(Mismatch.HOLE_ADDED), int(Mismatch.HOLE_DELETED)
OBJECT_ADDED, OBJECT_DELETED = int(Mismatch.OBJECT_ADDED), int(Mismatch.OBJECT_DELETED)


def classify_mismatches(objects: NDArray[np.int32], pixels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The `Mismatch` of each of `pixels`, which `flip_simple_points` has left in `objects`.

    By the different numbers of the eight neighbours, 0 of the background included: only 0: an object is added or
    deleted. One object alone: a hole is added (at an object pixel) or deleted. Two numbers: at a background pixel a
    hole is added; an object pixel is a split if the object pixels around it are not 4-connected without it in a window
    of 41 x 41 pixels, and a hole deleted otherwise. More numbers: a merge at a background pixel, a split at an object
    pixel.
    """
    window = np.zeros(((2 * RADIUS_PX + 3) ** 2,), np.uint8)
    stack = np.empty((2 * RADIUS_PX + 1) ** 2, np.int32)
    classes = np.empty(len(pixels), np.uint8)
    _classify(objects, pixels, window, stack, classes)
    return classes


@njit(nogil=True, cache=True)
def _classify(objects, pixels, window, stack, classes):  # type: ignore[no-untyped-def]
    stride = objects.shape[1]
    for k in range(len(pixels)):
        y, x = pixels[k] // stride, pixels[k] % stride
        own = objects[y, x]
        background, first, several = False, 0, False
        for i in range(y - 1, y + 2):
            for j in range(x - 1, x + 2):
                near = objects[i, j]
                if i == y and j == x:
                    continue
                if near == 0:
                    background = True
                elif first == 0:
                    first = near
                elif near != first:
                    several = True
        if first == 0:
            classes[k] = OBJECT_DELETED if own else OBJECT_ADDED
        elif several and (background or own):  # three numbers
            classes[k] = SPLIT if own else MERGE
        elif not background:
            classes[k] = HOLE_ADDED if own else HOLE_DELETED
        elif not own:
            classes[k] = HOLE_ADDED
        else:
            divides = _divides(objects, y, x, window, stack)
            classes[k] = SPLIT if divides else HOLE_DELETED


@njit(nogil=True, cache=True)
def _divides(objects, y, x, window, stack):  # type: ignore[no-untyped-def]
    """Whether the object pixels around (y, x) are not 4-connected within the window, without (y, x)."""
    side = 2 * RADIUS_PX + 3  # with an edge of 0
    window[:] = 0
    for i in range(max(0, y - RADIUS_PX), min(objects.shape[0], y + RADIUS_PX + 1)):
        for j in range(max(0, x - RADIUS_PX), min(objects.shape[1], x + RADIUS_PX + 1)):
            window[(i - y + RADIUS_PX + 1) * side + j - x + RADIUS_PX + 1] = objects[i, j] > 0
    centre = (RADIUS_PX + 1) * side + RADIUS_PX + 1
    window[centre] = 0
    seed, left = 0, 0
    for i in (-side, 0, side):
        for j in (-1, 0, 1):
            if window[centre + i + j]:
                window[centre + i + j] = 2
                seed = centre + i + j
                left += 1
    window[seed], stack[0], num, left = 0, seed, 1, left - 1
    while num and left:
        num -= 1
        at = stack[num]
        for step in (-side, -1, 1, side):
            near = window[at + step]
            if near:
                left -= near == 2
                window[at + step] = 0
                stack[num] = at + step
                num += 1
    return left > 0
