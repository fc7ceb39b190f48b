"""Thinning of the background between objects to lines of one pixel, by flooding.

A watershed of two levels (Vincent and Soille 1991): the objects are the lower one, and grow 4-connected into the
background, pixel by pixel in the order in which pixels are reached. Where two objects meet, a line of background stays.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

OUTSIDE, UNREACHED, QUEUED, LINE = -3, -2, -1, 0  # of a pixel, where objects are 1, 2, ...


def thin_background(objects: NDArray[np.int32]) -> NDArray[np.int32]:
    """Grow 4-connected objects (y, x), 0 = background, until they meet: int32 of the same shape, 0 on the lines.

    Two different objects never touch in the result, and each is one 4-connected component. Without any object, the
    whole image becomes object 1.
    """
    state = np.full((objects.shape[0] + 2, objects.shape[1] + 2), OUTSIDE, np.int32)
    inside = state[1:-1, 1:-1]
    inside[:] = np.where(objects > 0, objects, UNREACHED)
    num_background = inside.size - np.count_nonzero(objects)
    if num_background == inside.size:
        return np.ones_like(objects)
    if num_background:
        _flood(state.ravel(), state.shape[1], np.empty(num_background, np.int32))
    return np.ascontiguousarray(inside)


@njit(nogil=True, cache=True)
def _flood(state, stride, queue):  # type: ignore[no-untyped-def]
    tail = _queue_boundary(state, stride, queue)
    head = 0
    while head < tail:
        at = queue[head]
        head += 1
        own, replaceable = QUEUED, False  # replaceable: a line pixel that has met a line before any object
        for step in (-1, -stride, 1, stride):
            near = state[at + step]
            if near > 0:
                if own == QUEUED or (own == LINE and replaceable):
                    own = near
                elif own > 0 and own != near:
                    own, replaceable = LINE, False
            elif near == LINE:
                if own == QUEUED:
                    own, replaceable = LINE, True
            elif near == UNREACHED:
                state[at + step] = QUEUED
                queue[tail] = at + step
                tail += 1
        state[at] = own


@njit(nogil=True, cache=True)
def _queue_boundary(state, stride, queue):  # type: ignore[no-untyped-def]
    """Queue the background pixels beside objects, column by column. Returns their number."""
    tail = 0
    for x in range(1, stride - 1):
        for at in range(stride + x, len(state) - stride, stride):
            if state[at] != UNREACHED:
                continue
            if state[at - 1] > 0 or state[at - stride] > 0 or state[at + 1] > 0 or state[at + stride] > 0:
                state[at] = QUEUED
                queue[tail] = at
                tail += 1
    return tail
