"""Instance metrics: one-to-one matching and average precision as in DSB2018 and StarDist (Schmidt et al. 2018)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from unettrain.errors import InvalidInput

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
PLANES = {4: 1, 8: 2}  # connectivity within a plane, and the rank of scipy's structuring element
VOLUMES = {6: 1, 26: 3}


@dataclass(frozen=True)
class Matching:
    """Cells matched one to one (tp), proposals left over (fp), true cells left over (fn), sum of the matches' IoU.

    Matchings of several images add up (`+`), so that AP can be pooled over a data set.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    sum_iou: float = 0.0

    def __add__(self, other: "Matching") -> "Matching":
        return Matching(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.sum_iou + other.sum_iou)

    @property
    def average_precision(self) -> float:
        """AP = tp / (tp + fn + fp). 1 if there is no cell in either."""
        whole = self.tp + self.fp + self.fn
        return self.tp / whole if whole else 1.0

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the matches. 0 if there is none."""
        return self.sum_iou / self.tp if self.tp else 0.0


def label_components(mask: NDArray[np.generic], connectivity: int = 4) -> NDArray[np.int32]:
    """Number the connected pieces of what is not 0, from 1 on, int32 of the same shape.

    connectivity 4 or 8: within the planes (y, x), further axes being independent images, numbered through; 6 or 26: in
    volumes (z, y, x), likewise.
    """
    dims, rank = (2, PLANES.get(connectivity)) if connectivity in PLANES else (3, VOLUMES.get(connectivity))
    if rank is None or mask.ndim < dims:
        raise InvalidInput(
            f"connectivity is {connectivity} for a mask of {mask.ndim} axes", allowed="4, 8; from 3 axes on 6, 26"
        )
    structure = np.zeros((3,) * mask.ndim, bool)
    structure[(1,) * (mask.ndim - dims)] = ndimage.generate_binary_structure(dims, rank)
    labels = np.empty(mask.shape, np.int32)
    ndimage.label(mask != 0, structure, output=labels)
    return labels


def match_instances(truth: NDArray[np.integer], proposal: NDArray[np.integer], threshold: float = 0.5) -> Matching:
    """Match true and proposed cells one to one, where their IoU is at least `threshold`, as many as possible.

    truth and proposal are labels of one shape, 0 = background and one number per cell, any numbers. From 0.5 on the
    partners of a cell are equally good or there is only one (two need exactly half of it each), so that the number of
    matches and their mean IoU are unique. Raises InvalidInput under 0.5.
    """
    return _match(*_ious(truth, proposal), threshold)


def average_precision(
    truth: NDArray[np.integer], proposal: NDArray[np.integer], thresholds: Iterable[float] = THRESHOLDS
) -> dict[float, float]:
    """AP at each threshold of one image; see `match_instances` and `Matching.average_precision`."""
    ious, num_truth, num_proposal = _ious(truth, proposal)
    return {t: _match(ious, num_truth, num_proposal, t).average_precision for t in thresholds}


def _ious(truth: NDArray[np.integer], proposal: NDArray[np.integer]) -> tuple[sparse.coo_array, int, int]:
    """IoU of every pair of cells that share a pixel, and how many cells there are on either side."""
    if truth.shape != proposal.shape:
        raise InvalidInput(f"truth has shape {truth.shape}, proposal {proposal.shape}", allowed="one shape for both")
    for name, labels in (("truth", truth), ("proposal", proposal)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise InvalidInput(f"{name} is {labels.dtype}", allowed="integer labels; label_components makes them")
    truth_sizes, truth_index = _number(truth)
    proposal_sizes, proposal_index = _number(proposal)
    both = (truth != 0) & (proposal != 0)
    codes = truth_index[both] * len(proposal_sizes) + proposal_index[both]
    pairs, shared = np.unique(codes, return_counts=True)
    rows, columns = np.divmod(pairs, max(1, len(proposal_sizes)))
    ious = shared / (truth_sizes[rows] + proposal_sizes[columns] - shared)
    shape = (len(truth_sizes), len(proposal_sizes))
    return sparse.coo_array((ious, (rows, columns)), shape=shape), *shape


def _number(labels: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Sizes of the cells in pixels, and for every pixel the place of its cell among them (of no meaning outside)."""
    numbers, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    cells = numbers != 0
    places = np.cumsum(cells) - 1
    return sizes[cells], places[index.reshape(labels.shape)]


def _match(ious: sparse.coo_array, num_truth: int, num_proposal: int, threshold: float) -> Matching:
    if not 0.5 <= threshold <= 1:
        raise InvalidInput(f"threshold is {threshold}", allowed="0.5 to 1")
    good = ious.data >= threshold
    if not good.any():
        return Matching(0, num_proposal, num_truth)
    rows, columns = (axis[good] for axis in ious.coords)
    graph = sparse.csr_array((ious.data[good], (rows, columns)), shape=ious.shape)
    partner = maximum_bipartite_matching(graph, perm_type="column")
    tp = int(np.count_nonzero(partner >= 0))
    sum_iou = float(ious.data[good][partner[rows] == columns].sum())
    return Matching(tp, num_proposal - tp, num_truth - tp, sum_iou)
