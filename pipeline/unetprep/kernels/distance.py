"""Distance to the background inside a mask: exact, cut off at `REACH_PX`, in integers.

Two passes: along columns the distance to the nearest background pixel, then along rows the lower envelope of the
parabolas (x - x')^2 + column distance(x')^2 (Meijster, Roerdink and Hesselink 2000). Integers make the result the same
for every tiling. Outside the image there is no background.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

REACH_PX = 255  # larger distances become this; so far beyond a row the mask matters
UNITS = 256  # of a distance, for each pixel
_ROOTS = np.floor(np.sqrt(np.arange(REACH_PX**2 + 1) * float(UNITS**2))).astype(np.uint16)


def distance_rows(mask: NDArray[np.uint8], first: int, last: int) -> NDArray[np.uint16]:
    """Distance of each pixel of rows `first` to `last` (exclusive) to the nearest pixel outside the mask.

    `mask` (y, x) uint8 is 1 inside and 0 outside. The result is in 1/256 px, rounded down, at most 255 px, 0 outside.
    It is that of the whole image if the mask extends REACH_PX rows beyond `first` and `last`, or to the image's edge.
    """
    out = np.empty((last - first, mask.shape[1]), np.uint16)
    _distance_rows(mask, first, last, _ROOTS, out)
    return out


@njit(nogil=True, cache=True)
def _step(mask, columns):  # type: ignore[no-untyped-def]
    """Distances to the background along columns after one more row, at most REACH_PX."""
    for x in range(len(mask)):
        further = columns[x] + np.uint8(columns[x] < REACH_PX)
        columns[x] = further * mask[x]


@njit(nogil=True, cache=True)
def _distance_rows(mask, first, last, roots, out):  # type: ignore[no-untyped-def]
    height, width = mask.shape
    above = np.full(width, np.uint8(REACH_PX))
    below = np.full((last - first + 1, width), np.uint8(REACH_PX))
    for y in range(min(height, last + REACH_PX) - 1, last - 1, -1):
        _step(mask[y], below[last - first])
    for y in range(last - 1, first - 1, -1):
        below[y - first] = below[y - first + 1]
        _step(mask[y], below[y - first])
    for y in range(max(0, first - REACH_PX), first):
        _step(mask[y], above)
    places, begins = np.empty(width + 2, np.int32), np.empty(width + 2, np.int32)
    for y in range(first, last):
        _step(mask[y], above)
        row = below[y - first]
        for x in range(width):
            row[x] = min(row[x], above[x])
        _envelope(row, places, begins, roots, out[y - first])


@njit(nogil=True, cache=True)
def _envelope(row, places, begins, roots, out):  # type: ignore[no-untyped-def]
    """Distances of a row from those along its columns, run by run: no distance reaches beyond a background pixel."""
    width, x = len(row), 0
    while x < width:
        if row[x] == 0:
            out[x] = 0
            x += 1
            continue
        end = x
        while end < width and row[end] != 0:
            end += 1
        _envelope_of_run(row, max(0, x - 1), min(width, end + 1), places, begins, roots, out)
        x = end


@njit(nogil=True, cache=True)
def _envelope_of_run(row, start, stop, places, begins, roots, out):  # type: ignore[no-untyped-def]
    """Lower envelope of the parabolas of columns start to stop: which one is lowest from which column on."""
    top = 0
    places[0], begins[0] = start, start
    for x in range(start + 1, stop):
        square = np.int32(row[x]) * np.int32(row[x])
        while top >= 0:
            p, at = places[top], begins[top]
            here = np.int32(row[p])
            if (at - p) * (at - p) + here * here <= (at - x) * (at - x) + square:
                break
            top -= 1
        if top < 0:
            top = 0
            places[0], begins[0] = x, start
            continue
        p = places[top]
        here = np.int32(row[p])
        # (x - x1)^2 + a = (x - x2)^2 + b: from the next column on the later parabola is lower
        following = 1 + (x * x - p * p + square - here * here) // (2 * (x - p))
        if following < stop:
            top += 1
            places[top], begins[top] = x, following
    for x in range(stop - 1, start - 1, -1):
        p = places[top]
        here = np.int32(row[p])
        out[x] = roots[min((x - p) * (x - p) + here * here, REACH_PX * REACH_PX)]
        if x == begins[top]:
            top -= 1
