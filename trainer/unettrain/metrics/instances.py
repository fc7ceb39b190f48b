"""Instance metrics: one-to-one matches of true and proposed cells, average precision (AP), and SEG.

AP(t) = TP / (TP + FP + FN) at the IoU threshold t, as in DSB2018 and StarDist (Schmidt et al. 2018). SEG is the measure
of the Cell Tracking Challenge (Maska et al. 2014). Ignored pixels, whose class is unknown, follow the rule of panoptic
quality (Kirillov et al. 2019, section 4.1). Both follow from the contingency table, so volumes of any size are read in
blocks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics.contingency import (
    IGNORED,
    ContingencyTable,
    LabelArray,
    check_labels,
    contingency_table,
    sums_by,
)

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True)
class Matching:
    """Counts of matched cells (tp), unmatched proposals (fp) and unmatched true cells (fn); `sum_iou` of the matches.

    `ignored` counts the unmatched proposals that lie mostly in ignored pixels; they are not in fp. Matchings of several
    images add up (`+`), so that AP can be pooled over a data set.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    sum_iou: float = 0.0
    ignored: int = 0

    def __add__(self, other: "Matching") -> "Matching":
        return Matching(
            self.tp + other.tp,
            self.fp + other.fp,
            self.fn + other.fn,
            self.sum_iou + other.sum_iou,
            self.ignored + other.ignored,
        )

    @property
    def average_precision(self) -> float:
        """AP = tp / (tp + fn + fp). 1 if neither the truth nor the proposal has a cell."""
        whole = self.tp + self.fp + self.fn
        return self.tp / whole if whole else 1.0

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the matches. 0 if there is none."""
        return self.sum_iou / self.tp if self.tp else 0.0


@dataclass(frozen=True)
class Seg:
    """`sum_iou` of the Jaccard indices (IoU) of the true cells, 0 for those without a match, and their `num_cells`.

    Those of several images add up (`+`): SEG is the mean over all cells of all images.
    """

    sum_iou: float = 0.0
    num_cells: int = 0

    def __add__(self, other: "Seg") -> "Seg":
        return Seg(self.sum_iou + other.sum_iou, self.num_cells + other.num_cells)

    @property
    def value(self) -> float:
        """The mean, 0 to 1. 0 if there is no true cell, as the software of the challenge and py-ctcmetrics have it."""
        return self.sum_iou / self.num_cells if self.num_cells else 0.0


def match_instances(
    labels: LabelArray,
    proposal: LabelArray,
    threshold: float = 0.5,
    ignored: NDArray[np.bool_] | None = None,
) -> Matching:
    """Match true and proposed cells one to one where their IoU is at least `threshold`, as many as possible.

    labels and proposal are integers of one shape: 0 is background, and each other number is one cell, which may have
    several parts. Above a threshold of 0.5 a cell has at most one partner; at exactly 0.5 it may have two that are
    equally good. The number of matches and their summed IoU are therefore unique.

    Labels below 0, and pixels where `ignored` is true, are neither cell nor background. They do not count towards the
    size of any cell, and so not towards any IoU. An unmatched proposal with more than half of its pixels ignored is no
    false positive.

    Raises InvalidInput if threshold is less than 0.5, and if the shapes differ.
    """
    return overlap_table(labels, proposal, ignored).matching(threshold)


def match_at_thresholds(
    labels: LabelArray,
    proposal: LabelArray,
    thresholds: Iterable[float] = THRESHOLDS,
    ignored: NDArray[np.bool_] | None = None,
) -> tuple[Matching, ...]:
    """`match_instances` at several thresholds; the IoUs are computed once."""
    overlaps = overlap_table(labels, proposal, ignored)
    return tuple(overlaps.matching(threshold) for threshold in thresholds)


def average_precision(
    labels: LabelArray,
    proposal: LabelArray,
    thresholds: Iterable[float] = THRESHOLDS,
    ignored: NDArray[np.bool_] | None = None,
) -> dict[float, float]:
    """AP of one image at each threshold; see `match_instances` and `Matching.average_precision`.

    1 if neither labels nor proposal have a cell, where StarDist gives 0. Otherwise they agree, except that StarDist
    computes IoUs in float32.
    """
    chosen = tuple(thresholds)
    matchings = match_at_thresholds(labels, proposal, chosen, ignored)
    return {t: matching.average_precision for t, matching in zip(chosen, matchings, strict=True)}


def seg(labels: LabelArray, proposal: LabelArray) -> float:
    """SEG of the Cell Tracking Challenge, 0 to 1: the mean IoU of the true cells and their matches.

    labels and proposal are integers of one shape and of any number of axes, as `match_instances` takes them. A cell
    is matched by the object that holds more than half of its pixels; without one its IoU is 0. Objects without a cell
    do not lower SEG. 0 if there is no true cell. Over several images, SEG is the mean over all cells
    (`Seg`), not over images. Raises InvalidInput as `match_instances` does.
    """
    return overlap_table(labels, proposal).seg().value


@dataclass(frozen=True)
class OverlapTable:
    """Pixels of true cells, of proposals, and of each pair that shares pixels. Cells are given by index.

    label_sizes and shared count no ignored pixels; proposal_sizes count all, proposal_ignored the ignored ones.
    """

    label_sizes: NDArray[np.int64]
    proposal_sizes: NDArray[np.int64]
    proposal_ignored: NDArray[np.int64]
    rows: NDArray[np.intp]  # true cell of each pair
    columns: NDArray[np.intp]  # proposal of each pair
    shared: NDArray[np.int64]

    def merged(self, into: NDArray[np.integer], num: int) -> "OverlapTable":
        """The table after proposals have been merged into `num` others; `into` is the index of that of each."""
        sizes, ignored = (sums_by(into, counts, num) for counts in (self.proposal_sizes, self.proposal_ignored))
        codes, place = np.unique(self.rows * num + into[self.columns], return_inverse=True)
        rows, columns = np.divmod(codes, max(1, num))
        return OverlapTable(self.label_sizes, sizes, ignored, rows, columns, sums_by(place, self.shared, len(codes)))

    def without_small(self, least_size: int) -> "OverlapTable":
        """The table without proposals of fewer than `least_size` pixels."""
        kept = self.proposal_sizes >= least_size
        numbers, pairs = np.cumsum(kept) - 1, kept[self.columns]
        pixels = (self.proposal_sizes[kept], self.proposal_ignored[kept])
        places = (self.rows[pairs], numbers[self.columns[pairs]], self.shared[pairs])
        return OverlapTable(self.label_sizes, *pixels, *places)

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Whether each proposal counts as a false positive where it is unmatched: at most half of it is ignored."""
        return 2 * self.proposal_ignored <= self.proposal_sizes

    @property
    def counted_sizes(self) -> NDArray[np.intp]:
        """Pixels of each proposal that are not ignored."""
        return self.proposal_sizes - self.proposal_ignored

    def matches(self, threshold: float) -> NDArray[np.intp]:
        """The pairs, by index, that are matched one to one where the IoU is at least `threshold`.

        As many as possible, and of equally many those that leave the fewest counted proposals unmatched. Raises
        InvalidInput if threshold is less than 0.5.
        """
        return _one_to_one(self, self._ious(), threshold)

    def matching(self, threshold: float) -> Matching:
        """The counts of the one-to-one matches, as `match_instances` defines them."""
        return self.matchings([threshold])[0]

    def matchings(self, thresholds: Sequence[float]) -> tuple[Matching, ...]:
        """`matching` at each threshold."""
        ious, counted = self._ious(), self.counted
        num_labels, num_proposals, num_counted = len(self.label_sizes), len(counted), int(counted.sum())
        found = []
        for threshold in thresholds:
            pairs = _one_to_one(self, ious, threshold)
            tp, tp_counted = len(pairs), int(np.count_nonzero(counted[self.columns[pairs]]))
            num_ignored = num_proposals - num_counted - (tp - tp_counted)
            found.append(Matching(tp, num_counted - tp_counted, num_labels - tp, float(ious[pairs].sum()), num_ignored))
        return tuple(found)

    def seg(self) -> Seg:
        """SEG, as `seg` defines it."""
        matched = 2 * self.shared > self.label_sizes[self.rows]
        return Seg(float(self._ious()[matched].sum()), len(self.label_sizes))

    def _ious(self) -> NDArray[np.float64]:
        """The IoU of each pair."""
        sizes = self.label_sizes[self.rows] + self.counted_sizes[self.columns]
        return np.asarray(self.shared / (sizes - self.shared), np.float64)


def overlap_table(labels: LabelArray, proposal: LabelArray, ignored: NDArray[np.bool_] | None = None) -> OverlapTable:
    """The overlaps of labels of one shape, see `match_instances`. Cells are indexed in the order of their labels."""
    check_labels(labels, proposal, "iu")
    if ignored is not None:
        labels = np.where(ignored, IGNORED, np.asarray(labels[(slice(None),) * ignored.ndim]).astype(np.int64))
    return overlaps_of(contingency_table(labels, proposal))


def overlaps_of(table: ContingencyTable) -> OverlapTable:
    """The overlaps in a contingency table."""
    rows, label_sizes = _numbered(table.labels, table.counts)
    columns, sizes = _numbered(table.proposals, table.counts)
    unknown = (table.labels == IGNORED) & (table.proposals > 0)
    inside = sums_by(columns[unknown], table.counts[unknown], len(sizes))
    both = (table.labels > 0) & (table.proposals > 0)
    return OverlapTable(label_sizes, sizes, inside, rows[both], columns[both], table.counts[both])


def _numbered(numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The index of the cell of each pair (undefined for other numbers), and the pixels of each cell."""
    cells = numbers > 0
    different, index = np.unique(numbers[cells], return_inverse=True)
    places = np.zeros(len(numbers), np.intp)
    places[cells] = index
    return places, sums_by(index, counts[cells], len(different))


def _one_to_one(table: OverlapTable, ious: NDArray[np.float64], threshold: float) -> NDArray[np.intp]:
    """See `OverlapTable.matches`.

    Above 0.5 no cell has two partners. At exactly 0.5 it has two only if they are its halves, and so have no other
    partner: then any of the two may be matched, and a counted one is.
    """
    if not 0.5 <= threshold <= 1:
        raise InvalidInput(f"threshold is {threshold}", allowed="0.5 to 1")
    good = np.flatnonzero(ious >= threshold)
    if threshold > 0.5:
        return good
    good = good[np.argsort(~table.counted[table.columns[good]], kind="stable")]
    for partners in (table.rows, table.columns):
        good = good[np.unique(partners[good], return_index=True)[1]]  # the first of each
    return np.sort(good)
