"""Warping error of the challenge (Jain et al. 2010): pixels of splits and mergers after warping the labels.

The labels, as a mask, are warped to the proposal by flipping simple points, which changes no object and no hole, those
pixels first of which the proposal is most certain. What differs then differs topologically.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetprep.kernels.simple_points import flip_simple_points
from unetprep.kernels.strip_components import label_strip
from unetprep.kernels.topology_mismatches import Mismatch, classify_mismatches
from unettrain.errors import InvalidInput
from unettrain.metrics.challenge.inputs import CHALLENGE_THRESHOLDS, Pair, checked_pair, checked_thresholds
from unettrain.metrics.challenge.objects import have_contacts
from unettrain.metrics.challenge.threshold_scores import ThresholdScores

WARPING_THRESHOLDS = CHALLENGE_THRESHOLDS[:-1]  # 0, 0.1, ..., 0.9


def warping_error(labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None) -> float:
    """The challenge's warping error: the lowest share of pixels that are splits or mergers, over thresholds.

    See `warping_error_curve`, of which it is the `best`. A proposal without any cell scores 0: never report it alone.
    """
    return warping_error_curve(labels, proposal, thresholds).best


def warping_error_curve(
    labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None
) -> ThresholdScores:
    """Warping error at each threshold: pixels of splits and mergers over all pixels, of all slices; 0 (best) to 1.

    `labels` are integers >= 0 or bool (y, x) or (slices, y, x), > 0 = cell, 0 = membrane. `proposal`, of the same
    shape, is the probability of a cell, floating point from 0 to 1, cell where it is greater than the threshold; or a
    mask. `thresholds` are ascending, by default those of the challenge: 0, 0.1, ..., 0.9.

    Added and deleted objects and holes do not count, so it is 0 for a proposal without cells, and for labels without
    cells. (The challenge's code finds no splits in a slice of labels with one constant value; this one does.) Raises
    InvalidInput for other inputs: labels < 0, and labels whose different numbers touch, included.
    """
    chosen = checked_thresholds(WARPING_THRESHOLDS if thresholds is None else thresholds)
    return warping_curve(_checked(labels, proposal), chosen)


def warping_mismatches(labels: NDArray[Any], proposal: NDArray[Any], threshold: float = 0.5) -> NDArray[np.uint8]:
    """Where a proposal differs topologically from labels: the `Mismatch` of each pixel, uint8 of the labels' shape.

    Pixels of Mismatch.SPLIT and Mismatch.MERGE are those that `warping_error_curve` counts at this threshold. Inputs
    are checked as there.
    """
    pair, chosen = _checked(labels, proposal), float(checked_thresholds([threshold])[0])
    classes = np.zeros(pair.labels.shape, np.uint8)
    for z, (cells, probability) in enumerate(pair.slices()):
        objects, padded = _padded(cells, probability)
        pixels, found = _mismatches(objects, padded, chosen)
        columns = np.zeros(objects.shape, np.uint8)
        columns.ravel()[pixels] = found
        classes[z] = columns[1:-1, 1:-1].T
    return classes.reshape(np.shape(labels))


def warping_curve(pair: Pair, thresholds: NDArray[np.float64]) -> ThresholdScores:
    """`warping_error_curve` of checked inputs."""
    counts = np.empty((len(thresholds), pair.num_slices, 3))
    for z, (labels, probability) in enumerate(pair.slices()):
        objects, padded = _padded(labels, probability)
        for t, threshold in enumerate(thresholds):
            _, found = _mismatches(objects.copy(), padded, float(threshold))
            counts[t, z] = (
                np.count_nonzero(found == Mismatch.SPLIT),
                np.count_nonzero(found == Mismatch.MERGE),
                labels.size,
            )
    return ThresholdScores("warping_error", thresholds, counts)


def check_contacts(pair: Pair) -> None:
    """Raise InvalidInput where different numbers touch: as a mask, these cells would be one object."""
    for z, labels in enumerate(pair.labels):
        if labels.dtype.kind != "b" and have_contacts(labels):
            raise InvalidInput(
                f"labels have different numbers that touch, in slice {z}, where warping_error is undefined",
                allowed="cells with membrane (0) between them",
                hint="set the boundary pixels of touching cells to 0; or pass labels > 0, where touching cells are one",
            )


def _checked(labels: NDArray[Any], proposal: NDArray[Any]) -> Pair:
    pair = checked_pair(labels, proposal, "warping_error")
    check_contacts(pair)
    return pair


def _padded(labels: NDArray[Any], probability: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Objects of the labels, and the probability, with an edge of 0; both (x, y), in which order pixels are flipped."""
    objects, _ = label_strip(np.ascontiguousarray(np.pad(labels > 0, 1).T).view(np.uint8), 1, False)
    return objects, np.ascontiguousarray(np.pad(probability, 1).T)


def _mismatches(
    objects: NDArray[np.int32], probability: NDArray[np.float64], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Warp the objects in place; the pixels (indices) that differ then, and the `Mismatch` of each."""
    different = np.flatnonzero((objects > 0) != (probability > threshold))
    certainty = np.abs(probability.ravel()[different] - threshold).astype(np.float32)  # rounded as in the challenge
    left = flip_simple_points(objects, different[np.argsort(-certainty, kind="stable")])
    return left, classify_mismatches(objects, left)
