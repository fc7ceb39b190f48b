"""Numbers for objects in the order in which their pixels are met."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


def number_in_order(objects: NDArray[np.int32], numbers: NDArray[np.int32], count: int) -> int:
    """Replace objects (y, x) by their numbers, in place; 0 stays 0. Returns the largest number so far.

    `numbers` holds the number of each object, 0 for those without, which get count + 1, ... in scan order.
    """
    return int(_number(objects, numbers, count))


@njit(nogil=True, cache=True)
def _number(objects, numbers, count):  # type: ignore[no-untyped-def]
    for y in range(objects.shape[0]):
        for x in range(objects.shape[1]):
            found = objects[y, x]
            if found:
                if numbers[found] == 0:
                    count += 1
                    numbers[found] = count
                objects[y, x] = numbers[found]
    return count


def count_pixels(labels: NDArray[np.int32], num: int) -> NDArray[np.int64]:
    """Number of pixels of each of the labels 0, 1, ..., num."""
    sizes = np.zeros(num + 1, np.int64)
    _count(labels, sizes)
    return sizes


@njit(nogil=True, cache=True)
def _count(labels, sizes):  # type: ignore[no-untyped-def]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            sizes[labels[y, x]] += 1


def count_classes(labels: NDArray[np.int32], classes: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Add the number of pixels of each class in each label to `counts` (label, class); label 0 is not counted."""
    _count_classes(labels, classes, counts)


@njit(nogil=True, cache=True)
def _count_classes(labels, classes, counts):  # type: ignore[no-untyped-def]
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if labels[y, x]:
                counts[labels[y, x], classes[y, x]] += 1
