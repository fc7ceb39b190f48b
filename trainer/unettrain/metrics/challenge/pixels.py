"""Pixel error of the challenge."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.metrics.challenge.inputs import Pair, checked_pair, checked_thresholds
from unettrain.metrics.challenge.threshold_scores import ThresholdScores


def pixel_error(labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None) -> float:
    """The challenge's pixel error: 1 - the highest F score (Dice) of the cell pixels over thresholds.

    See `pixel_error_curve`, of which it is the `best`.
    """
    return pixel_error_curve(labels, proposal, thresholds).best


def pixel_error_curve(
    labels: NDArray[Any], proposal: NDArray[Any], thresholds: Sequence[float] | None = None
) -> ThresholdScores:
    """Pixel error at each threshold: 1 - F of the cell pixels, 0 (best) to 1. Pixels are pooled over slices.

    `labels` are integers or bool (y, x) or (slices, y, x): > 0 is cell, 0 membrane, and < 0 pixels to leave out.
    `proposal`, of the same shape, is the probability of a cell, floating point from 0 to 1, cell where it is greater
    than the threshold; or a mask, of bool or of integers of which one is not 0. `thresholds` are ascending, by default
    those of the challenge: 0, 0.1, ..., 1.

    Both without a cell: 0. One without a cell: 1. It is 1 - F, not the share of wrong pixels. Raises InvalidInput for
    other dtypes and values, NaN included, and if the shapes differ.
    """
    pair, chosen = checked_pair(labels, proposal, "pixel_error"), checked_thresholds(thresholds)
    return ThresholdScores("pixel_error", chosen, _count(pair, chosen))


def _count(pair: Pair, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.empty((len(thresholds), pair.num_slices, 3))
    for z, (labels, probability) in enumerate(pair.slices()):
        in_cells, elsewhere = probability[labels > 0], probability[labels == 0]
        for t, threshold in enumerate(thresholds):
            tp = np.count_nonzero(in_cells > threshold)
            counts[t, z] = tp, tp + np.count_nonzero(elsewhere > threshold), len(in_cells)
    return counts
