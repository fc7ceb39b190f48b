"""Metrics of partitions: variation of information (Meila 2007) and the adapted Rand error (Arganda-Carreras 2015).

They compare how labels and proposal divide the pixels, without matching objects, and are the metrics of volumes of
neurites: CREMI and SNEMI3D leave out the background of the labels. Both follow from the contingency table, so volumes
of any size are read in blocks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unettrain.metrics.contingency import ContingencyTable, LabelArray, contingency_table, sums_by


@dataclass(frozen=True)
class VariationOfInformation:
    """Conditional entropies in bits, at least 0: lower is better.

    `split` is H(proposal | labels), which over-segmentation raises; `merge` is H(labels | proposal), which merged cells
    raise.
    """

    split: float
    merge: float

    @property
    def total(self) -> float:
        """The variation of information, split + merge."""
        return self.split + self.merge


@dataclass(frozen=True)
class AdaptedRand:
    """Of the pairs of pixels in one object of the proposal, the share in one cell (precision); the reverse (recall)."""

    precision: float
    recall: float

    @property
    def error(self) -> float:
        """1 - F, with the harmonic mean F of precision and recall; 0 to 1, lower is better."""
        total = self.precision + self.recall
        return 1 - 2 * self.precision * self.recall / total if total else 1.0


def variation_of_information(
    labels: LabelArray, proposal: LabelArray, *, ignore_background: bool = False
) -> VariationOfInformation:
    """Variation of information of labels and proposal, integers of one shape and of any number of axes, in bits.

    Background, 0, is an object like all others; `ignore_background` leaves out the pixels where labels are 0. Labels
    below 0 are ignored. 0 and 0 if no pixel is left. scikit-image gives (split, merge) as an array, CREMI the same
    numbers with the background of the labels left out. Raises InvalidInput as `contingency_table` does.
    """
    return variation_of_information_of(contingency_table(labels, proposal), ignore_background)


def adapted_rand(labels: LabelArray, proposal: LabelArray, *, ignore_background: bool = False) -> AdaptedRand:
    """Adapted Rand error, precision and recall of labels and proposal, integers of one shape, of any number of axes.

    Background, 0, is an object like all others; `ignore_background` leaves out the pixels where labels are 0. Labels
    below 0 are ignored. Without any pair of pixels in one object, precision is 1, and so is recall without any pair in
    one cell. It is `adapted_rand_error` of scikit-image, which leaves out background by default, gives NaN there,
    and in release 0.26 exchanges precision and recall. The error of the ISBI 2012 challenge, in which membrane of the
    proposal counts as single pixels, is `rand_error`. Raises InvalidInput as `contingency_table` does.
    """
    return adapted_rand_of(contingency_table(labels, proposal), ignore_background)


def variation_of_information_of(table: ContingencyTable, ignore_background: bool = False) -> VariationOfInformation:
    """`variation_of_information` of a table."""
    table = table.counted(ignore_background)
    if not len(table.counts):
        return VariationOfInformation(0.0, 0.0)
    cells, objects = _sizes(table)
    num = table.counts.sum()
    split, merge = (float(-(table.counts / num) @ np.log2(table.counts / sizes)) for sizes in (cells, objects))
    return VariationOfInformation(split + 0.0, merge + 0.0)  # no -0


def adapted_rand_of(table: ContingencyTable, ignore_background: bool = False) -> AdaptedRand:
    """`adapted_rand` of a table."""
    table = table.counted(ignore_background)
    cells, objects = _sizes(table)
    both, in_objects, in_cells = (float(table.counts @ (sizes - 1.0)) for sizes in (table.counts, objects, cells))
    return AdaptedRand(both / in_objects if in_objects else 1.0, both / in_cells if in_cells else 1.0)


def _sizes(table: ContingencyTable) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pair of the table, the pixels of its cell and those of its object."""
    found = []
    for numbers in (table.labels, table.proposals):
        different, index = np.unique(numbers, return_inverse=True)
        found.append(sums_by(index, table.counts, len(different))[index])
    return found[0], found[1]
