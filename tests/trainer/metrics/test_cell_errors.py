"""Kinds of errors of cells: hand-made labels, and a slow reference written from the definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from unettrain.metrics import CellKind, ErrorCounts, cell_errors, match_instances
from unettrain.metrics.cell_errors import kinds_of_pixels

FOUND, MISSED, SPURIOUS, SPLIT, MERGED, IGNORED = list(CellKind)[1:]
labels_1d = arrays(np.int32, 14, elements=st.integers(0, 3))


def strip(*runs: tuple[int, int]) -> NDArray[np.int32]:
    """A row of pixels: (length, label), one after the other."""
    return np.array([[label for length, label in runs for _ in range(length)]], np.int32)


def kinds(truth: NDArray[np.int32], proposal: NDArray[np.int32]) -> tuple[list[int], list[int], int, int]:
    """Kinds of true cells and of proposals, and the numbers of splits and mergers."""
    found = cell_errors(truth, proposal)
    return found.label_kinds.tolist(), found.proposal_kinds.tolist(), found.counts.splits, found.counts.mergers


def test_found_missed_and_spurious_cells() -> None:
    truth = strip((10, 4), (5, 0), (10, 2), (5, 0))
    proposal = strip((8, 9), (7, 0), (4, 7), (6, 0), (5, 8))  # 7 has 4 of the 10 pixels of cell 2
    assert kinds(truth, proposal) == ([MISSED, FOUND], [SPURIOUS, SPURIOUS, FOUND], 0, 0)
    assert kinds(truth, np.zeros_like(truth)) == ([MISSED, MISSED], [], 0, 0)
    assert kinds(np.zeros_like(truth), proposal) == ([], [SPURIOUS] * 3, 0, 0)


def test_a_split_cell_holds_most_of_two_proposals() -> None:
    truth = strip((12, 1), (6, 0))
    assert kinds(truth, strip((4, 1), (4, 2), (4, 3), (6, 0))) == ([SPLIT], [SPLIT] * 3, 1, 0)
    assert kinds(truth, strip((4, 1), (8, 2), (6, 0))) == ([FOUND], [SPLIT, FOUND], 1, 0)
    assert kinds(truth, strip((5, 1), (2, 0), (5, 2), (6, 0))) == ([SPLIT], [SPLIT] * 2, 1, 0)
    # the second proposal has 5 of 10 pixels in the cell: not more than half
    assert kinds(truth, strip((5, 1), (2, 0), (10, 2), (1, 0))) == ([MISSED], [SPURIOUS] * 2, 0, 0)


def test_a_merger_has_most_of_two_cells() -> None:
    truth = strip((6, 1), (6, 2), (6, 0))
    assert kinds(truth, strip((12, 5), (6, 0))) == ([FOUND, MERGED], [FOUND], 0, 1)  # each is exactly half of it
    assert kinds(truth, strip((14, 5), (4, 0))) == ([MERGED, MERGED], [MERGED], 0, 1)
    assert kinds(truth, strip((9, 5), (9, 0))) == ([FOUND, MISSED], [FOUND], 0, 0)  # half of cell 2
    assert kinds(strip((14, 1), (4, 2)), strip((18, 5))) == ([FOUND, MERGED], [FOUND], 0, 1)


def test_a_cell_is_merged_rather_than_split() -> None:
    truth = strip((20, 1), (2, 2), (20, 0))
    proposal = strip((4, 7), (4, 8), (30, 9), (4, 0))  # 9 has 12 pixels of cell 1, all of cell 2, and 16 outside
    assert kinds(truth, proposal) == ([MERGED, MERGED], [SPLIT, SPLIT, MERGED], 1, 1)


def test_ignored_pixels_count_in_no_size() -> None:
    truth, ignored = strip((6, 1), (6, 2), (12, 0)), strip((12, 0), (12, 1)) > 0
    merging = cell_errors(truth, strip((22, 5), (2, 0)), ignored)  # 12 of its 22 pixels count
    assert merging.counts == ErrorCounts(found=1, merged_cells=1, mergers=1)
    ignorable = cell_errors(truth, strip((3, 0), (7, 6), (8, 0), (6, 9)), ignored)
    assert ignorable.counts == ErrorCounts(missed_cells=2, spurious_proposals=1, ignored_proposals=1)
    mostly_ignored = cell_errors(truth, strip((4, 0), (20, 5)), ignored)  # has all of cell 2, and is its match
    assert mostly_ignored.counts == ErrorCounts(found=1, missed_cells=1)
    only_ignored = cell_errors(strip((6, 1)), strip((6, 2)), np.ones((1, 6), bool))
    assert only_ignored.counts == ErrorCounts(ignored_proposals=1)


def slow_counts(truth: NDArray[np.int32], proposal: NDArray[np.int32], ignored: NDArray[np.bool_]) -> tuple[int, int]:
    """Splits and mergers, cell by cell."""
    cells = [(truth == t) & ~ignored for t in np.unique(truth[(truth > 0) & ~ignored])]
    parts = [(proposal == p) for p in np.unique(proposal[proposal > 0])]
    parts = [part & ~ignored for part in parts if 2 * (part & ignored).sum() <= part.sum()]
    splits = sum(sum(2 * (cell & part).sum() > part.sum() for part in parts) > 1 for cell in cells)
    return splits, sum(sum(2 * (cell & part).sum() > cell.sum() for cell in cells) > 1 for part in parts)


@given(labels_1d, labels_1d, arrays(np.bool_, 14))
def test_the_kinds_divide_what_ap_counts(
    truth: NDArray[np.int32], proposal: NDArray[np.int32], ignored: NDArray[np.bool_]
) -> None:
    matching, counts = match_instances(truth, proposal, 0.5, ignored), cell_errors(truth, proposal, ignored).counts
    assert counts.found == matching.tp
    assert counts.missed_cells + counts.split_cells + counts.merged_cells == matching.fn
    assert counts.spurious_proposals + counts.split_proposals + counts.merged_proposals == matching.fp
    assert counts.ignored_proposals == matching.ignored
    assert (counts.splits, counts.mergers) == slow_counts(truth, proposal, ignored)


def test_counts_of_images_add_up() -> None:
    one = cell_errors(strip((6, 1), (6, 2)), strip((12, 5))).counts
    assert one + one == ErrorCounts(found=2, merged_cells=2, mergers=2)
    assert (one + one).as_dict()["merged_cells"] == 2


def test_a_pixel_has_the_kind_of_its_cell() -> None:
    labels = np.array([[-1, 0, 7, 7], [3, 3, 0, -1]], np.int32)
    found = kinds_of_pixels(labels, np.array([MERGED, FOUND], np.uint8))
    np.testing.assert_array_equal(found, [[0, 0, FOUND, FOUND], [MERGED, MERGED, 0, 0]])
    nothing = np.zeros((2, 2), np.int32)
    np.testing.assert_array_equal(kinds_of_pixels(nothing, np.zeros(0, np.uint8)), nothing)
