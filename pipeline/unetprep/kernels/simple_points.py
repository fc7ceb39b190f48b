"""Simple points of a mask, and its warping towards another mask by flipping them.

Objects are 4-connected, the background is 8-connected. A pixel is simple if its flip changes no component of either
(Kong and Rosenfeld 1989): of its eight neighbours, exactly one 4-connected component of object pixels touches one of
the four pixels beside it, and the background pixels form exactly one 8-connected component.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # neighbours in circular order


def _is_simple(ring: int) -> bool:
    """Whether a pixel is simple whose neighbour RING[k] is an object pixel where bit k of `ring` is set.

    In a ring, pixels of even k are corners and those of odd k lie beside the centre. Neighbours in circular order are
    4-connected, so components of object pixels are arcs. Two arcs of background are 8-connected across a single corner
    between them, as the two pixels beside the centre that enclose a corner touch diagonally.
    """
    cells = [bool(ring >> k & 1) for k in range(8)]
    arcs = sum(cells[k] and not cells[k - 1] for k in range(8)) or int(all(cells))
    lone_corners = sum(cells[k] and not cells[k - 1] and not cells[(k + 1) % 8] for k in range(0, 8, 2))
    num_touching = arcs - lone_corners
    gaps = sum(not cells[k] and cells[k - 1] for k in range(8)) or int(not any(cells))
    num_background = max(gaps - lone_corners, 1) if gaps else 0
    return num_touching == 1 and num_background == 1


SIMPLE = np.array([_is_simple(ring) for ring in range(256)])  # 116 of the 256 rings


def flip_simple_points(objects: NDArray[np.int32], pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Flip pixels of a mask until none of those left is simple. Returns those left, in their order.

    `objects` (y, x) are the 4-connected components of the mask, 0 = background, with an edge of background one pixel
    wide. They are changed in place: a flip keeps all components, so they remain those of the mask. `pixels` are indices
    into the raveled objects, not of the edge. Each pass takes them in order and flips what is simple at that moment;
    passes repeat until one flips nothing.
    """
    left = pixels.copy()
    return left[: _flip(objects.ravel(), objects.shape[1], left, SIMPLE)]


@njit(nogil=True, cache=True, forceinline=True)
def _ring(objects, at, stride):  # type: ignore[no-untyped-def]
    """The neighbours that are object pixels, as bits in the order of RING."""
    return (
        np.int64(objects[at - stride - 1] > 0)
        | np.int64(objects[at - stride] > 0) << 1
        | np.int64(objects[at - stride + 1] > 0) << 2
        | np.int64(objects[at + 1] > 0) << 3
        | np.int64(objects[at + stride + 1] > 0) << 4
        | np.int64(objects[at + stride] > 0) << 5
        | np.int64(objects[at + stride - 1] > 0) << 6
        | np.int64(objects[at - 1] > 0) << 7
    )


@njit(nogil=True, cache=True)
def _flip(objects, stride, pixels, simple):  # type: ignore[no-untyped-def]
    """Flip in place, and move the pixels left to the front of `pixels`. Returns their number."""
    num, before = len(pixels), len(pixels) + 1
    while num < before:
        before, num = num, 0
        for k in range(before):
            at = pixels[k]
            if not simple[_ring(objects, at, stride)]:
                pixels[num] = at
                num += 1
            elif objects[at]:
                objects[at] = 0
            else:  # simple: all object pixels beside it are of one object
                beside = max(objects[at - 1], objects[at + 1])
                objects[at] = max(beside, objects[at - stride], objects[at + stride])
    return num
