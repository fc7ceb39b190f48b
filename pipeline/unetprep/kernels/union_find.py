"""Union-find (disjoint sets) over numbers, in which the smallest number of a set stands for it."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def find(parents, item):  # type: ignore[no-untyped-def]
    """The smallest number of the set of `item`; halves the path to it."""
    while parents[item] != item:
        parents[item] = parents[parents[item]]
        item = parents[item]
    return item


@njit(nogil=True, cache=True)
def union(parents, a, b):  # type: ignore[no-untyped-def]
    """Join the sets of `a` and `b`; returns the smallest number of both."""
    a, b = find(parents, a), find(parents, b)
    if a < b:
        parents[b] = a
        return a
    parents[a] = b
    return b


class DisjointSets:
    """Sets of the numbers 0, 1, ..., to which numbers are added; 4 bytes for each."""

    def __init__(self) -> None:
        self.count = 0
        self._parents = np.arange(1024, dtype=np.int32)

    def add(self, num: int) -> None:
        """Add numbers, each a set of its own."""
        self.count += num
        while self.count > len(self._parents):
            first = len(self._parents)
            self._parents = np.concatenate([self._parents, np.arange(first, 2 * first, dtype=np.int32)])

    def join(self, pairs: NDArray[np.int32]) -> None:
        """Join the sets of the two numbers of each pair (n, 2)."""
        _join(self._parents, pairs)

    def smallest(self, items: NDArray[np.int32]) -> NDArray[np.int32]:
        """The smallest number of the set of each item; of the shape of `items`."""
        found = np.empty(items.size, np.int32)
        _find(self._parents, np.ravel(items), found)
        return found.reshape(items.shape)

    def all_smallest(self) -> NDArray[np.int32]:
        """The smallest number of the set of each of the numbers 0, 1, ..."""
        return self.smallest(np.arange(self.count, dtype=np.int32))


@njit(nogil=True, cache=True)
def _join(parents, pairs):  # type: ignore[no-untyped-def]
    for k in range(len(pairs)):
        union(parents, pairs[k, 0], pairs[k, 1])


@njit(nogil=True, cache=True)
def _find(parents, items, found):  # type: ignore[no-untyped-def]
    for k in range(len(items)):
        found[k] = find(parents, items[k])
