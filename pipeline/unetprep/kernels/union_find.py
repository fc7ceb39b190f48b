"""Union-find over numbers, in which the smallest number of a set stands for it."""

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


def joined(num: int, firsts: NDArray[np.int32], seconds: NDArray[np.int32]) -> NDArray[np.int32]:
    """The smallest number of the set of each of 0, 1, ..., num - 1, once the pairs have been joined: int32."""
    parents = np.arange(num, dtype=np.int32)
    _join(parents, firsts, seconds)
    return parents


@njit(nogil=True, cache=True)
def _join(parents, firsts, seconds):  # type: ignore[no-untyped-def]
    for k in range(len(firsts)):
        union(parents, firsts[k], seconds[k])
    for item in range(len(parents)):
        parents[item] = parents[parents[item]]  # a parent is smaller, and stands for its set already
