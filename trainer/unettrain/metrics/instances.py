"""Instance matching: one-to-one matches of true and proposed cells, and average precision (AP).

AP(t) = TP / (TP + FP + FN) at the IoU threshold t, as in DSB2018 and StarDist (Schmidt et al. 2018). Ignored pixels,
whose class is unknown, follow the rule of panoptic quality (Kirillov et al. 2019, section 4.1).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.errors import InvalidInput

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


@dataclass(frozen=True)
class Matching:
    """Counts of matched cells (tp), unmatched proposals (fp) and unmatched true cells (fn); sum of the matches' IoU.

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


def number_per_slice(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Give labels (z, y, x) numbers that differ between slices, so that no object extends over more than one slice.

    0 stays background. Labels must not be negative. Within a slice, a label remains one object.
    """
    numbers = labels.astype(np.int64)
    first = np.arange(len(numbers), dtype=np.int64) * (int(numbers.max(initial=0)) + 1)
    return np.where(numbers > 0, numbers + first[:, None, None], 0)


def match_instances(
    truth: NDArray[np.integer],
    proposal: NDArray[np.integer],
    threshold: float = 0.5,
    ignored: NDArray[np.bool_] | None = None,
) -> Matching:
    """Match true and proposed cells one to one where their IoU is at least `threshold`, as many as possible.

    truth and proposal are labels of one shape: 0 is background, and each other number is one cell, which may have
    several parts. Above a threshold of 0.5 a cell has at most one partner; at exactly 0.5 it may have two that are
    equally good. The number of matches and their summed IoU are therefore unique.

    `ignored` is true at pixels that are neither cell nor background. They do not count towards the size of any cell,
    and so not towards any IoU. An unmatched proposal with more than half of its pixels ignored is no false positive.

    Raises InvalidInput if threshold is less than 0.5, and if the shapes differ.
    """
    return overlap_table(truth, proposal, ignored).matching(threshold)


def match_at_thresholds(
    truth: NDArray[np.integer],
    proposal: NDArray[np.integer],
    thresholds: Iterable[float] = THRESHOLDS,
    ignored: NDArray[np.bool_] | None = None,
) -> tuple[Matching, ...]:
    """`match_instances` at several thresholds; the IoUs are computed once."""
    overlaps = overlap_table(truth, proposal, ignored)
    return tuple(overlaps.matching(threshold) for threshold in thresholds)


def average_precision(
    truth: NDArray[np.integer],
    proposal: NDArray[np.integer],
    thresholds: Iterable[float] = THRESHOLDS,
    ignored: NDArray[np.bool_] | None = None,
) -> dict[float, float]:
    """AP of one image at each threshold; see `match_instances` and `Matching.average_precision`."""
    chosen = tuple(thresholds)
    matchings = match_at_thresholds(truth, proposal, chosen, ignored)
    return {t: matching.average_precision for t, matching in zip(chosen, matchings, strict=True)}


@dataclass(frozen=True)
class OverlapTable:
    """Pixels of true cells, of proposals, and of each pair that shares pixels. Cells are given by index.

    truth_sizes and shared count no ignored pixels; proposal_sizes count all, proposal_ignored the ignored ones.
    """

    truth_sizes: NDArray[np.intp]
    proposal_sizes: NDArray[np.intp]
    proposal_ignored: NDArray[np.intp]
    rows: NDArray[np.intp]  # true cell of each pair
    columns: NDArray[np.intp]  # proposal of each pair
    shared: NDArray[np.intp]

    def merged(self, into: NDArray[np.integer], num: int) -> "OverlapTable":
        """The table after proposals have been merged into `num` others; `into` is the index of that of each."""
        sizes, ignored = (_sums(into, counts, num) for counts in (self.proposal_sizes, self.proposal_ignored))
        codes, place = np.unique(self.rows * num + into[self.columns], return_inverse=True)
        rows, columns = np.divmod(codes, max(1, num))
        return OverlapTable(self.truth_sizes, sizes, ignored, rows, columns, _sums(place, self.shared, len(codes)))

    def without_small(self, least_size: int) -> "OverlapTable":
        """The table without proposals of fewer than `least_size` pixels."""
        kept = self.proposal_sizes >= least_size
        numbers, pairs = np.cumsum(kept) - 1, kept[self.columns]
        pixels = (self.proposal_sizes[kept], self.proposal_ignored[kept])
        places = (self.rows[pairs], numbers[self.columns[pairs]], self.shared[pairs])
        return OverlapTable(self.truth_sizes, *pixels, *places)

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
        ious, counted = self._ious(), self.counted
        pairs = _one_to_one(self, ious, threshold)
        tp, tp_counted = len(pairs), int(counted[self.columns[pairs]].sum())
        num_counted = int(counted.sum())
        num_ignored = len(counted) - num_counted - (tp - tp_counted)
        return Matching(tp, num_counted - tp_counted, len(self.truth_sizes) - tp, float(ious[pairs].sum()), num_ignored)

    def _ious(self) -> NDArray[np.float64]:
        sizes = self.truth_sizes[self.rows] + self.counted_sizes[self.columns]
        return np.asarray(self.shared / (sizes - self.shared))


def overlap_table(
    truth: NDArray[np.integer], proposal: NDArray[np.integer], ignored: NDArray[np.bool_] | None = None
) -> OverlapTable:
    """The overlaps of labels of one shape, see `match_instances`. Cells are indexed in the order of their labels."""
    _check(truth, proposal)
    if ignored is not None:
        truth = np.where(ignored, 0, truth)
    truth_sizes, truth_index = _number(truth)
    sizes, proposal_index = _number(proposal)
    inside = np.zeros_like(sizes)
    if ignored is not None:
        inside = np.bincount(proposal_index[ignored & (proposal != 0)], minlength=len(sizes))
    both = (truth != 0) & (proposal != 0)
    codes = truth_index[both] * len(sizes) + proposal_index[both]
    pairs, shared = _count(codes, len(truth_sizes) * len(sizes))
    rows, columns = np.divmod(pairs, max(1, len(sizes)))
    return OverlapTable(truth_sizes, sizes, inside, rows, columns, shared)


def _sums(index: NDArray[np.integer], counts: NDArray[np.intp], num: int) -> NDArray[np.intp]:
    sums = np.zeros(num, np.intp)
    np.add.at(sums, index, counts)
    return sums


def _count(codes: NDArray[np.intp], num: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The different codes, of those under `num`, and how often each occurs."""
    if num > max(1024, 4 * codes.size):
        return np.unique(codes, return_counts=True)
    counts = np.bincount(codes, minlength=num)  # no sort
    present = np.flatnonzero(counts)
    return present, counts[present]


def _check(truth: NDArray[np.integer], proposal: NDArray[np.integer]) -> None:
    if truth.shape != proposal.shape:
        raise InvalidInput(f"truth has shape {truth.shape}, proposal {proposal.shape}", allowed="one shape for both")
    for name, labels in (("truth", truth), ("proposal", proposal)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise InvalidInput(f"{name} is {labels.dtype}", allowed="integer labels; label_components makes them")


def _number(labels: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Sizes of the cells in pixels, and the index of the cell at each pixel (undefined in the background)."""
    if labels.min(initial=0) >= 0 and labels.max(initial=0) <= labels.size:  # a table of all numbers; no sort
        index: NDArray[np.intp] = labels.astype(np.intp)
        sizes = np.bincount(index.ravel(), minlength=1)
        cells = (sizes > 0) & (np.arange(len(sizes)) != 0)
    else:
        numbers, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        cells = numbers != 0
    places = np.cumsum(cells) - 1
    return sizes[cells], places[index.reshape(labels.shape)]


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
