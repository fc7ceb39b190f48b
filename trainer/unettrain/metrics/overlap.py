"""Overlap of two masks: IoU, Dice, precision and recall from pixel counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput


@dataclass(frozen=True)
class Overlap:
    """Pixels that are foreground in both masks (tp), in the proposal alone (fp), the truth alone (fn), in neither (tn).

    Counts of several images add up (`+`), so that a score can be pooled over a data set.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def iou(self) -> float:
        """Intersection over union, the Jaccard index: tp / (tp + fp + fn). 1 if both masks are empty."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def dice(self) -> float:
        """2 tp / (2 tp + fp + fn), the F score. 1 if both masks are empty."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """tp / (tp + fp). 1 if the proposal is empty: nothing in it is wrong."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """tp / (tp + fn). 1 if the truth is empty: nothing of it is missed."""
        return _ratio(self.tp, self.tp + self.fn)


def overlap(truth: NDArray[np.generic], proposal: NDArray[np.generic]) -> Overlap:
    """Count the pixels of two masks of one shape, with any number of axes; pixels that are not 0 are foreground."""
    if truth.shape != proposal.shape:
        raise InvalidInput(f"truth has shape {truth.shape}, proposal {proposal.shape}", allowed="one shape for both")
    in_truth, in_proposal = truth != 0, proposal != 0
    tp = int(np.count_nonzero(in_truth & in_proposal))
    fp, fn = int(np.count_nonzero(in_proposal)) - tp, int(np.count_nonzero(in_truth)) - tp
    return Overlap(tp, fp, fn, truth.size - tp - fp - fn)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
