"""Matching of cells against hand-computed cases and a slow, obvious reference."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics import Matching, average_precision, label_components, match_instances

labels_1d = arrays(np.int32, 12, elements=st.integers(0, 3))


def strip(*runs: tuple[int, int]) -> NDArray[np.int32]:
    """A row of pixels: (length, label), one after the other."""
    return np.array([[label for length, label in runs for _ in range(length)]], np.int32)


def slow_match(truth: NDArray[np.int32], proposal: NDArray[np.int32], threshold: float) -> Matching:
    """The best of every possible one-to-one assignment of true cells to proposals."""
    cells, proposals = ([k for k in np.unique(a) if k] for a in (truth, proposal))
    best = Matching(0, len(proposals), len(cells))
    for partners in itertools.permutations([*proposals, *[None] * len(cells)], len(cells)):
        ious = [
            np.sum((truth == t) & (proposal == p)) / np.sum((truth == t) | (proposal == p))
            for t, p in zip(cells, partners, strict=True)
            if p is not None
        ]
        good = [iou for iou in ious if iou >= threshold]
        if (len(good), sum(good)) > (best.tp, best.sum_iou):
            best = Matching(len(good), len(proposals) - len(good), len(cells) - len(good), float(sum(good)))
    return best


@given(labels_1d, labels_1d, st.sampled_from([0.5, 0.6, 0.75, 1.0]))
def test_it_is_the_best_assignment(truth: NDArray[np.int32], proposal: NDArray[np.int32], threshold: float) -> None:
    found, expected = match_instances(truth, proposal, threshold), slow_match(truth, proposal, threshold)
    assert (found.tp, found.fp, found.fn) == (expected.tp, expected.fp, expected.fn)
    assert found.sum_iou == pytest.approx(expected.sum_iou)


@given(labels_1d, labels_1d)
def test_numbers_and_sides_do_not_matter(truth: NDArray[np.int32], proposal: NDArray[np.int32]) -> None:
    found = match_instances(truth, proposal)
    renumbered = np.array([0, 2**31 - 1, 5, 4000], np.int64)[proposal]
    assert match_instances(truth, renumbered) == found
    swapped = match_instances(proposal, truth)
    assert (swapped.tp, swapped.fp, swapped.fn) == (found.tp, found.fn, found.fp)


def test_a_hand_computed_case() -> None:
    truth = strip((10, 1), (2, 0), (10, 2), (5, 0), (4, 3))
    proposal = strip((8, 7), (4, 0), (6, 9), (4, 8), (5, 0), (4, 0))
    # 1 and 7: 8 / 10. 2 and 9: 6 / 10. 8 is left over, and so is 3.
    assert match_instances(truth, proposal, 0.5) == Matching(2, 1, 1, 0.8 + 0.6)
    assert average_precision(truth, proposal, (0.5, 0.6, 0.65, 0.8, 0.85)) == pytest.approx(
        {0.5: 2 / 4, 0.6: 2 / 4, 0.65: 1 / 5, 0.8: 1 / 5, 0.85: 0}
    )
    assert match_instances(truth, proposal).mean_iou == pytest.approx(0.7)


def test_a_cell_split_in_exact_halves_is_matched_once() -> None:
    truth, halves = strip((10, 1)), strip((5, 1), (5, 2))
    assert match_instances(truth, halves, 0.5) == Matching(1, 1, 0, 0.5)
    assert match_instances(halves, truth, 0.5) == Matching(1, 0, 1, 0.5)
    assert match_instances(truth, halves, 0.51) == Matching(0, 2, 1)


def test_empty_images() -> None:
    none, one = np.zeros((3, 3), np.int32), np.eye(3, dtype=np.int32)
    assert match_instances(none, none) == Matching()
    assert Matching().average_precision == 1
    assert Matching().mean_iou == 0
    assert match_instances(one, none) == Matching(fn=1)
    assert match_instances(none, one) == Matching(fp=1)
    assert match_instances(none, one).average_precision == 0


def test_matchings_of_images_add_up() -> None:
    total = Matching(2, 1, 0, 1.5) + Matching(1, 0, 3, 0.75)
    assert total == Matching(3, 1, 3, 2.25)
    assert (total.average_precision, total.mean_iou) == (3 / 7, 0.75)


def test_thousands_of_cells() -> None:
    truth = np.kron(np.arange(1, 90_001, dtype=np.int32).reshape(300, 300), np.ones((4, 4), np.int32))
    proposal = np.roll(truth, 1, axis=1)  # each cell shifted by a quarter of its width: IoU 12 / 20
    proposal[:, 0] = 0
    found = average_precision(truth, proposal, (0.5, 0.65))
    assert found[0.5] == pytest.approx(1, abs=0.01)
    assert found[0.65] == pytest.approx(300 / (300 + 2 * 89_700))  # the last of a row is cut off at the edge: 12 / 16


@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.5])
def test_thresholds_without_a_unique_answer_are_refused(threshold: float) -> None:
    with pytest.raises(InvalidInput, match=r"allowed: 0\.5 to 1"):
        match_instances(strip((2, 1)), strip((2, 1)), threshold)


def test_what_are_no_labels_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one shape for both"):
        match_instances(strip((2, 1)), strip((3, 1)))
    with pytest.raises(InvalidInput, match=r"proposal is float64\n.*label_components"):
        match_instances(strip((2, 1)), np.zeros((1, 2)))


def test_components() -> None:
    mask = np.array([[[1, 0, 1], [0, 1, 1], [0, 0, 0]], [[1, 0, 0], [0, 0, 0], [1, 0, 0]]], bool)
    numbers = {connectivity: int(label_components(mask, connectivity).max()) for connectivity in (4, 8, 6, 26)}
    assert numbers == {4: 4, 8: 3, 6: 3, 26: 1}
    labels = label_components(mask[0])
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [[1, 0, 2], [0, 2, 2], [0, 0, 0]])
    for connectivity, wrong in ((5, mask), (6, mask[0]), (4, mask[0, 0])):
        with pytest.raises(InvalidInput, match=f"connectivity is {connectivity}"):
            label_components(wrong, connectivity)


def test_an_ignorable_proposal_yields_to_one_that_counts() -> None:
    """Both proposals cover exactly half of the cell's counted pixels; matching the ignorable one would leave a miss."""
    truth = strip((10, 1), (20, 0))
    proposal = strip((5, 7), (5, 8), (9, 7), (11, 0))
    for which in (proposal, np.where(proposal == 7, 9, proposal)):  # either order of the numbers
        ignored = np.zeros_like(truth, bool)
        ignored[0, 10:19] = True
        assert match_instances(truth, which, 0.5, ignored) == Matching(1, 0, 0, 0.5, ignored=1)
        assert match_instances(truth, which, 0.55, ignored) == Matching(0, 1, 1, 0.0, ignored=1)


def test_proposals_in_ignored_pixels_alone_are_dropped() -> None:
    truth, proposal = strip((4, 0), (4, 2)), strip((2, 1), (2, 0), (4, 3))
    ignored = strip((4, 1), (4, 0)) > 0
    assert match_instances(truth, proposal, 0.9, ignored) == Matching(1, 0, 0, 1.0, ignored=1)
    assert average_precision(truth, proposal, (0.5, 0.9), ignored) == {0.5: 1, 0.9: 1}
    assert match_instances(truth, proposal, 0.5, np.zeros_like(ignored)) == Matching(1, 1, 0, 1.0)
    assert match_instances(truth, proposal, 0.5, np.ones_like(ignored)) == Matching(ignored=2)
