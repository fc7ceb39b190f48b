"""Pixels that each two objects of two labellings share, without a table of all pairs."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class PixelsByObject(NamedTuple):
    """The pixels of a labelling, object by object."""

    pixels: NDArray[np.integer]  # indices into the raveled labels; int32 where that is enough
    starts: NDArray[np.int64]  # (objects + 1,) where the pixels of each object begin


class Overlaps(NamedTuple):
    """Pixel counts of the objects 1, 2, ... of a proposal within the objects of some labels."""

    pairs: NDArray[np.int64]  # (pairs,) shared by a true and a proposed object, where any are; in no order
    proposed: NDArray[np.int64]  # (objects + 1,) of each proposed object, within true objects; [0]: outside of all


def pixels_by_object(labels: NDArray[np.int32], num: int) -> PixelsByObject:
    """The pixels of the objects 1, 2, ..., num of `labels` (y, x); 0 is left out."""
    flat = labels.ravel()
    starts = np.zeros(num + 1, np.int64)
    dtype: type[np.integer] = np.int32 if flat.size < 2**31 else np.int64
    pixels: NDArray[np.integer] = np.empty(int(np.count_nonzero(flat)), dtype)
    _sort(flat, starts, pixels)
    return PixelsByObject(pixels, starts)


def overlaps(truth: PixelsByObject, proposal: NDArray[np.int32], num: int) -> Overlaps:
    """Overlaps of the true objects and the objects 1, 2, ..., num of `proposal` (y, x), 0 = background."""
    proposed = np.zeros(num + 1, np.int64)
    pairs = np.empty(1024, np.int64)
    pairs, num_pairs = _count(truth.pixels, truth.starts, proposal.ravel(), proposed, pairs)
    return Overlaps(pairs[:num_pairs], proposed)


@njit(nogil=True, cache=True)
def _sort(labels, starts, pixels):  # type: ignore[no-untyped-def]
    """Counting sort."""
    places = np.zeros(len(starts) + 1, np.int64)
    for label in labels:
        if label:
            places[label + 1] += 1
    places = np.cumsum(places)
    starts[:] = places[1:]
    for at in range(len(labels)):
        label = labels[at]
        if label:
            pixels[places[label]] = at
            places[label] += 1


@njit(nogil=True, cache=True)
def _count(pixels, starts, proposal, proposed, pairs):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(proposed), np.int64)
    met = np.empty(len(proposed), np.int64)
    num_pairs = 0
    for k in range(len(starts) - 1):
        num_met = 0
        for i in range(starts[k], starts[k + 1]):
            found = proposal[pixels[i]]
            if counts[found] == 0:
                met[num_met] = found
                num_met += 1
            counts[found] += 1
        if num_pairs + num_met > len(pairs):
            pairs = np.concatenate((pairs, np.empty(len(pairs) + num_met, np.int64)))
        for i in range(num_met):
            found = met[i]
            proposed[found] += counts[found]
            if found:
                pairs[num_pairs] = counts[found]
                num_pairs += 1
            counts[found] = 0
    return pairs, num_pairs
