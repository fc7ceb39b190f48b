"""Pixel overlap against counting pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics import Overlap, dice, iou, overlap

masks = arrays(np.uint8, (2, 4, 3), elements=st.integers(0, 2))


@given(masks, masks)
def test_it_counts_pixels(truth: NDArray[np.uint8], proposal: NDArray[np.uint8]) -> None:
    pairs = [(bool(t), bool(p)) for t, p in zip(truth.ravel(), proposal.ravel(), strict=True)]
    found = overlap(truth, proposal)
    expected = (pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False)))
    assert (found.tp, found.fp, found.fn) == expected
    assert found.tn == pairs.count((False, False))
    assert overlap(truth[0], proposal[0]) + overlap(truth[1], proposal[1]) == found


def test_hand_computed_scores() -> None:
    found = Overlap(tp=6, fp=2, fn=4, tn=88)
    assert (found.iou, found.dice, found.precision, found.recall) == (6 / 12, 12 / 18, 6 / 8, 6 / 10)


@pytest.mark.parametrize(
    ("found", "expected"),
    [(Overlap(tn=9), (1, 1, 1, 1)), (Overlap(fn=3), (0, 0, 1, 0)), (Overlap(fp=3), (0, 0, 0, 1))],
)
def test_empty_masks(found: Overlap, expected: tuple[float, ...]) -> None:
    assert (found.iou, found.dice, found.precision, found.recall) == expected


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one shape for both"):
        overlap(np.zeros((3, 1)), np.zeros((1, 3)))


def test_classes_have_an_overlap_each() -> None:
    labels, proposal = np.array([[0, 1, 1, 2, -1, 2]]), np.array([[0, 1, 2, 2, 2, 0]])
    assert iou(labels, proposal) == {0: 1 / 2, 1: 1 / 2, 2: 1 / 3}
    assert dice(labels, proposal) == {0: 2 / 3, 1: 2 / 3, 2: 2 / 4}
    mask = labels > 0
    assert iou(mask, proposal > 0)[1] == overlap(mask, proposal > 0).iou
    assert dice(mask, mask) == {0: 1, 1: 1}
