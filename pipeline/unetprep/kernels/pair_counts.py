"""Counts of the pairs of values that two arrays have at the same places, block by block: a sparse contingency table."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

FIRST_SLOTS = 1024
PIECE = 2**18  # values that are converted to int64 at a time


class PairCounts:
    """Pairs of integers with the number of their occurrences; up to 96 bytes for each different pair."""

    def __init__(self) -> None:
        self._pairs = np.zeros((FIRST_SLOTS, 2), np.int64)
        self._counts = np.zeros(FIRST_SLOTS, np.int64)  # 0: a free slot
        self._used = 0

    def add(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        """Add the pairs at each place of two arrays of one shape: integers of int64, or bool."""
        if first.shape != second.shape:
            raise ValueError(f"the arrays have shapes {first.shape} and {second.shape}")
        a, b = first.ravel(), second.ravel()
        for start in range(0, len(a), PIECE):
            self._add(*(np.asarray(values[start : start + PIECE], np.int64) for values in (a, b)))

    def _add(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> None:
        done = 0
        while done < len(a):
            done, self._used = _count(a, b, done, self._pairs, self._counts, self._used)
            if done < len(a):
                self._grow()

    def _grow(self) -> None:
        pairs, counts = self._pairs, self._counts
        self._pairs, self._counts = np.zeros((2 * len(pairs), 2), np.int64), np.zeros(2 * len(pairs), np.int64)
        _move(pairs, counts, self._pairs, self._counts)

    def table(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The first and second value of each pair, and its number of occurrences; sorted by the first, then second."""
        used = self._counts > 0
        (first, second), counts = self._pairs[used].T, self._counts[used]
        order = np.lexsort((second, first))
        return first[order], second[order], counts[order]


@njit(nogil=True, cache=True, forceinline=True)
def _slot(a, b, pairs, counts):  # type: ignore[no-untyped-def]
    """The slot of a pair, or the free one that it gets: linear probing from its hash."""
    mixed = a * 0x1E3779B97F4A7C15 + b * 0x42B2AE3D27D4EB4F  # wraps around
    mixed ^= mixed >> 29
    mixed *= 0x3F58476D1CE4E5B9
    mixed ^= mixed >> 32
    slot = mixed & (len(counts) - 1)
    while counts[slot] and (pairs[slot, 0] != a or pairs[slot, 1] != b):
        slot = (slot + 1) & (len(counts) - 1)
    return slot


@njit(nogil=True, cache=True)
def _count(a, b, start, pairs, counts, used):  # type: ignore[no-untyped-def]
    """Count pairs from `start` on, until half of the slots are used; the place of the first pair not counted.

    Runs of one pair, which label images consist of, are looked up once.
    """
    k = start
    while k < len(a):
        if 2 * used >= len(counts):
            break
        here, there, first = a[k], b[k], k
        while k < len(a) and a[k] == here and b[k] == there:
            k += 1
        slot = _slot(here, there, pairs, counts)
        if counts[slot] == 0:
            pairs[slot, 0], pairs[slot, 1] = here, there
            used += 1
        counts[slot] += k - first
    return k, used


@njit(nogil=True, cache=True)
def _move(pairs, counts, new_pairs, new_counts):  # type: ignore[no-untyped-def]
    for k in range(len(counts)):
        if counts[k]:
            slot = _slot(pairs[k, 0], pairs[k, 1], new_pairs, new_counts)
            new_pairs[slot, 0], new_pairs[slot, 1], new_counts[slot] = pairs[k, 0], pairs[k, 1], counts[k]
