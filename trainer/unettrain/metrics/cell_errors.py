"""Kinds of errors of a segmentation into cells: missed, spurious, split and merged cells.

The kinds divide what AP counts at IoU 0.5: every true cell and every proposal has exactly one. Found cells are the true
positives; the true cells of the other kinds are the false negatives, the proposals of the other kinds the false
positives. Pixels are those that are not ignored.

- A true cell is *split* if two or more proposals have more than half of their pixels in it.
- A proposal *merges* if it has more than half of the pixels of two or more true cells.
"""

from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unettrain.metrics.instances import OverlapTable, overlap_table


class CellKind(IntEnum):
    """Kind of a true cell or a proposal.

    FOUND: matched one to one, see `match_instances`. MERGED, of those that are not found: true cells of which a merging
    proposal has more than half, and merging proposals. SPLIT, of the rest: split cells, and proposals that have more
    than half of their pixels in one. IGNORED: proposals with more than half of their pixels ignored. MISSED and
    SPURIOUS: all other true cells, and all other proposals. A proposal that is IGNORED splits and merges nothing.
    """

    BACKGROUND = 0
    FOUND = 1
    MISSED = 2
    SPURIOUS = 3
    SPLIT = 4
    MERGED = 5
    IGNORED = 6


@dataclass(frozen=True)
class ErrorCounts:
    """Numbers of true cells and proposals of each kind; counts of several images add up (`+`).

    Of true cells: `found`, `missed_cells`, `split_cells`, `merged_cells`. Of proposals that find none:
    `spurious_proposals`, `split_proposals`, `merged_proposals`, and `ignored_proposals`, mostly in ignored pixels.
    `splits` counts all split cells, and `mergers` all proposals that merge, whether they are found besides or not: of a
    large and a small cell in one proposal, the large one may be found.
    """

    found: int = 0
    missed_cells: int = 0
    split_cells: int = 0
    merged_cells: int = 0
    spurious_proposals: int = 0
    split_proposals: int = 0
    merged_proposals: int = 0
    ignored_proposals: int = 0
    splits: int = 0
    mergers: int = 0

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain values, for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class CellErrors:
    """Kinds of true cells (`label_kinds`) and proposals (`proposal_kinds`), in the order of their labels; `counts`."""

    label_kinds: NDArray[np.uint8]
    proposal_kinds: NDArray[np.uint8]
    counts: ErrorCounts


def cell_errors(
    labels: NDArray[np.integer],
    proposal: NDArray[np.integer],
    ignored: NDArray[np.bool_] | None = None,
    threshold: float = 0.5,
) -> CellErrors:
    """The kind of each cell of two label arrays of one shape; see `CellKind`, and `match_instances` for the arguments.

    True cells that lie in ignored pixels alone are none. Raises InvalidInput as `match_instances` does.
    """
    table = overlap_table(labels, proposal, ignored)
    return classify(table, table.matches(threshold))


def classify(table: OverlapTable, matches: NDArray[np.intp]) -> CellErrors:
    """The kind of each cell of an overlap table, given its matched pairs."""
    counted, (num_cells, num_proposals) = table.counted, (len(table.label_sizes), len(table.proposal_sizes))
    rows, columns = table.rows, table.columns
    inside = counted[columns] & (2 * table.shared > table.counted_sizes[columns])
    covers = counted[columns] & (2 * table.shared > table.label_sizes[rows])
    is_split = np.bincount(rows[inside], minlength=num_cells) > 1
    merges = np.bincount(columns[covers], minlength=num_proposals) > 1

    cells = np.full(num_cells, CellKind.MISSED, np.uint8)
    cells[is_split] = CellKind.SPLIT
    cells[rows[covers & merges[columns]]] = CellKind.MERGED
    cells[rows[matches]] = CellKind.FOUND
    proposals = np.full(num_proposals, CellKind.SPURIOUS, np.uint8)
    proposals[columns[inside & is_split[rows]]] = CellKind.SPLIT
    proposals[merges] = CellKind.MERGED
    proposals[~counted] = CellKind.IGNORED
    proposals[columns[matches]] = CellKind.FOUND
    return CellErrors(cells, proposals, _count(cells, proposals, is_split, merges))


def _count(
    cells: NDArray[np.uint8], proposals: NDArray[np.uint8], is_split: NDArray[np.bool_], merges: NDArray[np.bool_]
) -> ErrorCounts:
    of_cells, of_proposals = (np.bincount(kinds, minlength=len(CellKind)).tolist() for kinds in (cells, proposals))
    return ErrorCounts(
        found=of_cells[CellKind.FOUND],
        missed_cells=of_cells[CellKind.MISSED],
        split_cells=of_cells[CellKind.SPLIT],
        merged_cells=of_cells[CellKind.MERGED],
        spurious_proposals=of_proposals[CellKind.SPURIOUS],
        split_proposals=of_proposals[CellKind.SPLIT],
        merged_proposals=of_proposals[CellKind.MERGED],
        ignored_proposals=of_proposals[CellKind.IGNORED],
        splits=int(is_split.sum()),
        mergers=int(merges.sum()),
    )


def kinds_of_pixels(labels: NDArray[np.integer], kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The kind of the cell at each pixel of labels, 0 in the background; `kinds` are in the order of the labels.

    Labels less than 1 are background. Every cell of which `kinds` has an entry must have a pixel, and no other may.
    """
    numbers, index = np.unique(np.maximum(labels, 0), return_inverse=True)
    table = np.zeros(len(numbers), np.uint8)
    table[numbers > 0] = kinds
    return table[index.reshape(labels.shape)]
