"""Instance matching: one-to-one matches of true and proposed cells, and average precision (AP).

AP(t) = TP / (TP + FP + FN) at the IoU threshold t, as in DSB2018 and StarDist (Schmidt et al. 2018). Ignored pixels,
whose class is unknown, follow the rule of panoptic quality (Kirillov et al. 2019, section 4.1).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

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
    return _match(_overlaps(truth, proposal, ignored), threshold)


def match_at_thresholds(
    truth: NDArray[np.integer],
    proposal: NDArray[np.integer],
    thresholds: Iterable[float] = THRESHOLDS,
    ignored: NDArray[np.bool_] | None = None,
) -> tuple[Matching, ...]:
    """`match_instances` at several thresholds; the IoUs are computed once."""
    overlaps = _overlaps(truth, proposal, ignored)
    return tuple(_match(overlaps, threshold) for threshold in thresholds)


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
class _Overlaps:
    """IoU (truth, proposal) of each pair of cells that share a pixel; which proposals are not mostly ignored."""

    ious: sparse.coo_array
    counted: NDArray[np.bool_]


def _overlaps(
    truth: NDArray[np.integer], proposal: NDArray[np.integer], ignored: NDArray[np.bool_] | None
) -> _Overlaps:
    _check(truth, proposal)
    if ignored is not None:
        truth = np.where(ignored, 0, truth)
    truth_sizes, truth_index = _number(truth)
    all_sizes, proposal_index = _number(proposal)
    proposal_sizes, counted = all_sizes, np.ones(len(all_sizes), bool)
    if ignored is not None:
        inside = np.bincount(proposal_index[ignored & (proposal != 0)], minlength=len(all_sizes))
        proposal_sizes, counted = all_sizes - inside, 2 * inside <= all_sizes
    both = (truth != 0) & (proposal != 0)
    codes = truth_index[both] * len(proposal_sizes) + proposal_index[both]
    pairs, shared = _count(codes, len(truth_sizes) * len(proposal_sizes))
    rows, columns = np.divmod(pairs, max(1, len(proposal_sizes)))
    ious = shared / (truth_sizes[rows] + proposal_sizes[columns] - shared)
    shape = (len(truth_sizes), len(proposal_sizes))
    return _Overlaps(sparse.coo_array((ious, (rows, columns)), shape=shape), counted)


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


def _match(overlaps: _Overlaps, threshold: float) -> Matching:
    if not 0.5 <= threshold <= 1:
        raise InvalidInput(f"threshold is {threshold}", allowed="0.5 to 1")
    ious, counted = overlaps.ious, overlaps.counted
    num_truth, num_counted = ious.shape[0], int(counted.sum())
    good = ious.data >= threshold
    if not good.any():
        return Matching(0, num_counted, num_truth, 0.0, len(counted) - num_counted)
    rows, columns = (axis[good] for axis in ious.coords)
    if _are_different(rows, num_truth) and _are_different(columns, len(counted)):  # always so above 0.5
        tp, tp_counted = len(rows), int(counted[columns].sum())
        num_ignored = len(counted) - num_counted - (tp - tp_counted)
        return Matching(tp, num_counted - tp_counted, num_truth - tp, float(ious.data[good].sum()), num_ignored)
    graph = sparse.csr_array((ious.data[good], (rows, columns)), shape=ious.shape)
    partner = maximum_bipartite_matching(graph, perm_type="column")
    tp = int(np.count_nonzero(partner >= 0))
    sum_iou = float(ious.data[good][partner[rows] == columns].sum())
    # Of the largest matchings, take one that leaves as few as possible of the proposals that count unmatched.
    tp_counted = tp if counted.all() else _num_matches(graph[:, counted])
    num_ignored = len(counted) - num_counted - (tp - tp_counted)
    return Matching(tp, num_counted - tp_counted, num_truth - tp, sum_iou, num_ignored)


def _are_different(indices: NDArray[np.integer], num: int) -> bool:
    return len(indices) < 2 or int(np.bincount(indices, minlength=num).max()) < 2


def _num_matches(graph: sparse.csr_array) -> int:
    return int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))
