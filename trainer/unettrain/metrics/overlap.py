"""Overlap of two masks, or of each class of two class images: IoU, Dice, precision and recall from pixel counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics.contingency import ContingencyTable, LabelArray, contingency_table


@dataclass(frozen=True)
class Overlap:
    """Pixels of the foreground of both masks (tp), the proposal alone (fp), the labels alone (fn), and neither (tn).

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
        """tp / (tp + fn). 1 if the labels are empty: nothing of it is missed."""
        return _ratio(self.tp, self.tp + self.fn)


def overlap(labels: NDArray[np.generic], proposal: NDArray[np.generic]) -> Overlap:
    """Count the pixels of two masks of one shape, with any number of axes; pixels that are not 0 are foreground."""
    if labels.shape != proposal.shape:
        raise InvalidInput(f"labels have shape {labels.shape}, proposal {proposal.shape}", allowed="one shape for both")
    in_labels, in_proposal = labels != 0, proposal != 0
    tp = int(np.count_nonzero(in_labels & in_proposal))
    fp, fn = int(np.count_nonzero(in_proposal)) - tp, int(np.count_nonzero(in_labels)) - tp
    return Overlap(tp, fp, fn, labels.size - tp - fp - fn)


def iou(labels: LabelArray, proposal: LabelArray) -> dict[int, float]:
    """IoU of each class in class images of one shape: integers, of any number of axes, or masks, whose class is 1.

    The classes are all numbers that occur in one of the images, 0 (background) too. Labels below 0 are ignored pixels.
    Raises InvalidInput as `contingency_table` does.
    """
    return {c: found.iou for c, found in class_overlaps(contingency_table(labels, proposal)).items()}


def dice(labels: LabelArray, proposal: LabelArray) -> dict[int, float]:
    """Dice of each class, the F score of its pixels; see `iou`."""
    return {c: found.dice for c, found in class_overlaps(contingency_table(labels, proposal)).items()}


def class_overlaps(table: ContingencyTable) -> dict[int, Overlap]:
    """The overlap of each class in the contingency table of class images."""
    table = table.counted()
    num, found = int(table.counts.sum()), {}
    for number in np.union1d(table.labels, table.proposals).tolist():
        in_labels, in_proposal = table.labels == number, table.proposals == number
        tp, whole, proposed = (int(table.counts[w].sum()) for w in (in_labels & in_proposal, in_labels, in_proposal))
        found[number] = Overlap(tp, proposed - tp, whole - tp, num - whole - proposed + tp)
    return found


def foreground_overlap(table: ContingencyTable) -> Overlap:
    """The overlap of the foreground, all numbers but 0, in a contingency table."""
    table = table.counted()
    mask = ContingencyTable(np.minimum(table.labels, 1), np.minimum(table.proposals, 1), table.counts)
    return class_overlaps(mask).get(1, Overlap(tn=int(table.counts.sum())))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
