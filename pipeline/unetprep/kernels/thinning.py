"""Thinning of the background between objects to lines of one pixel, by flooding.

A watershed of two levels (Vincent and Soille 1991): the objects are the lower one, and grow 4-connected into the
background, pixel by pixel in the order in which pixels are reached. A pixel takes the number of the objects beside it;
where these are several, or only lines, it becomes a line.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

OUTSIDE, UNREACHED, QUEUED, LINE = -3, -2, -1, 0  # of a pixel, where objects are 1, 2, ...


def thin_background(objects: NDArray[np.int32]) -> NDArray[np.int32]:
    """Grow 4-connected objects (y, x), 0 = background, until they meet: int32 of the same shape, 0 on the lines.

    Background pixels beside objects are queued column by column; each pixel taken from the queue adds those of its
    neighbours that were not reached before. (In any order: adjacent pixels that are reached in the same round descend
    from different boundary pixels, as all pixels of a round that descend from one have the same parity.) Two different
    objects never touch in the result, and each is one 4-connected component. Without any object, the whole image
    becomes object 1.
    """
    height, width = objects.shape
    state = np.empty((height + 2, width + 2), np.int32)
    num_background = _begin(objects, state)
    if num_background == objects.size:
        return np.ones_like(objects)
    if num_background:
        places = np.int32 if state.size < 2**31 else np.int64
        _flood(state.ravel(), width + 2, np.empty(num_background + 1, places))
    return np.ascontiguousarray(state[1:-1, 1:-1])


@njit(nogil=True, cache=True)
def _begin(objects, state):  # type: ignore[no-untyped-def]
    """Fill the state, which is one pixel wider on each side. Returns the number of background pixels."""
    num_background = 0
    state[0], state[-1], state[:, 0], state[:, -1] = OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE
    for y in range(objects.shape[0]):
        for x in range(objects.shape[1]):
            own = objects[y, x]
            state[y + 1, x + 1] = own if own > 0 else UNREACHED
            num_background += own <= 0
    return num_background


@njit(nogil=True, cache=True)
def _flood(state, stride, queue):  # type: ignore[no-untyped-def]
    """Flood, without branches: which neighbours a pixel has is as good as random. `queue` has one place to spare."""
    tail, head = _queue_boundary(state, stride, queue), 0
    while head < tail:
        at = queue[head]
        head += 1
        left, above, right, below = state[at - 1], state[at - stride], state[at + 1], state[at + stride]
        own = max(max(left, above), max(right, below), LINE)
        several = _is_other(left, own) | _is_other(above, own) | _is_other(right, own) | _is_other(below, own)
        state[at] = LINE if several else own
        for near, place in ((left, at - 1), (above, at - stride), (right, at + 1), (below, at + stride)):
            is_new = near == UNREACHED
            state[place] = QUEUED if is_new else near
            queue[tail] = place
            tail += is_new


@njit(nogil=True, cache=True, forceinline=True)
def _is_other(near, own):  # type: ignore[no-untyped-def]
    return (near > 0) & (near != own)


@njit(nogil=True, cache=True)
def _queue_boundary(state, stride, queue):  # type: ignore[no-untyped-def]
    """Queue the background pixels beside objects, column by column. Returns their number."""
    rows, tail = state.reshape(-1, stride), 0
    marks = np.zeros(rows.shape, np.bool_)
    for y in range(1, len(rows) - 1):
        _mark_boundary(rows[y - 1], rows[y], rows[y + 1], marks[y])
    for x in range(1, stride - 1):
        for y in range(1, len(rows) - 1):
            queue[tail] = y * stride + x
            tail += marks[y, x]
    for k in range(tail):
        state[queue[k]] = QUEUED
    return tail


@njit(nogil=True, cache=True)
def _mark_boundary(above, here, below, marks):  # type: ignore[no-untyped-def]
    """Mark the background pixels of a row beside objects; vectorized."""
    for x in range(1, len(here) - 1):
        near = max(max(here[x - 1], here[x + 1]), max(above[x], below[x]))
        marks[x] = (here[x] == UNREACHED) & (near > 0)
