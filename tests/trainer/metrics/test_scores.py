"""Scores of masks and instance labels, with ignored pixels, slices and empty images, against hand-computed values."""

import numpy as np
import pytest
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics.overlap import Overlap
from unettrain.metrics.scores import foreground, score, score_instances


def one_cell_beside_an_ignored_region() -> NDArray[np.int32]:
    """A cell of 36 pixels, and an ignored square of 36 pixels."""
    labels = np.zeros((1, 30, 30), np.int32)
    labels[0, 2:8, 2:8], labels[0, 15:21, 15:21] = 1, -1
    return labels


def test_a_proposal_that_surrounds_an_ignored_region_is_no_false_positive() -> None:
    labels = one_cell_beside_an_ignored_region()
    mask = labels != 0
    mask[0, 14:22, 15:21] = mask[0, 15:21, 14:22] = True  # one pixel wider: 36 of 60 pixels are ignored
    found = score(mask, labels)
    assert [(m.tp, m.fp, m.fn, m.ignored) for m in found.cells] == [(1, 0, 0, 1)] * 9
    assert found.mean_ap == 1
    assert found.pixels == Overlap(tp=36, fp=24, fn=0, tn=900 - 36 - 36 - 24)


def test_a_proposal_that_lies_mostly_outside_the_ignored_region_is_a_false_positive() -> None:
    labels = one_cell_beside_an_ignored_region()
    mask = labels != 0
    mask[0, 15:21, 21:27] = True  # exactly half of the proposal is ignored
    found = score(mask, labels)
    assert [(m.tp, m.fp, m.fn, m.ignored) for m in found.cells] == [(1, 1, 0, 0)] * 9
    assert found.mean_ap == 0.5


def test_pixels_in_the_ignored_region_do_not_reduce_the_iou_of_a_cell() -> None:
    labels = np.zeros((1, 4, 10), np.int32)
    labels[0, :, 1:3], labels[0, :, 3:9] = 7, -1
    proposal = np.zeros((1, 4, 10), np.int32)
    proposal[0, :, 1:9] = 5  # 24 of 32 pixels are ignored, and yet the rest of it is the cell
    found = score_instances(proposal, labels)
    assert [(m.tp, m.fp, m.fn, m.ignored) for m in found.cells] == [(1, 0, 0, 0)] * 9
    assert found.as_dict()["ignored_proposals"] == 0


def test_a_label_in_two_slices_is_two_objects_in_2d_and_one_in_3d() -> None:
    labels = np.zeros((2, 6, 6), np.uint16)
    labels[:, 1:5, 1:5] = 3
    assert score_instances(labels, labels, 2).cells[0].tp == 2
    assert score_instances(labels, labels, 3).cells[0].tp == 1
    assert score(labels > 0, labels, 4).mean_ap == 1
    assert score(labels > 0, labels, 6).mean_ap == 1


def test_two_labels_that_touch_and_one_in_two_parts_are_kept_as_they_are() -> None:
    labels = np.zeros((1, 5, 9), np.uint16)
    labels[0, :, 0:2], labels[0, :, 2:4], labels[0, :, 6:7], labels[0, :, 8:9] = 1, 2, 3, 3
    found = score_instances(labels * 11, labels)
    assert (found.mean_ap, found.cells[-1].tp, found.cells[-1].fp) == (1, 3, 0)
    as_mask = score(labels > 0, labels)  # 1 and 2 merge, 3 becomes two objects: IoU 0.5 each
    assert [(m.tp, m.fp, m.fn) for m in as_mask.cells[:2]] == [(2, 1, 1), (0, 3, 3)]


@pytest.mark.parametrize(
    ("true_cells", "proposed_cells", "iou", "ap"), [(0, 0, 1, 1), (1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 1, 1)]
)
def test_empty_images(true_cells: int, proposed_cells: int, iou: float, ap: float) -> None:
    cell = np.zeros((1, 5, 5), np.int32)
    cell[0, 1:3, 1:3] = 1
    found = score_instances(cell * proposed_cells, cell * true_cells)
    assert (found.pixels.iou, found.pixels.dice, found.mean_ap) == (iou, iou, ap)


def test_an_empty_image_does_not_change_pooled_scores() -> None:
    cell, none = np.eye(5, dtype=np.int32)[None], np.zeros((1, 5, 5), np.int32)
    assert (score_instances(none, none) + score_instances(none, cell)).mean_ap == 0


def test_thresholds_of_probabilities() -> None:
    single = np.array([[[0.0, 0.3, 0.5, 0.6, 1.0]]], np.float32)
    np.testing.assert_array_equal(foreground(single)[0, 0], [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(foreground(single[None], 0.25)[0, 0], [0, 1, 1, 1, 1])
    classes = np.array([[0.4, 0.6], [0.3, 0.4], [0.3, 0.0]])[:, None, None]
    np.testing.assert_array_equal(foreground(classes)[0, 0], [0, 0])  # class 0 is the most likely one
    np.testing.assert_array_equal(foreground(classes, 0.5)[0, 0], [1, 0])  # 1 - p(class 0)


@pytest.mark.parametrize("wrong", [np.full((1, 2, 2), np.nan), np.full((1, 2, 2), 1.5), np.ones((1, 2, 2), np.uint8)])
def test_what_is_no_probability_is_refused(wrong: NDArray[np.generic]) -> None:
    with pytest.raises(InvalidInput, match="allowed: floating-point probabilities, 0 to 1"):
        foreground(wrong)


def test_shapes_must_agree() -> None:
    with pytest.raises(InvalidInput, match="one shape for both"):
        score_instances(np.zeros((1, 2, 2), np.int32), np.zeros((1, 2, 3), np.int32))


def test_what_would_be_misread_is_refused() -> None:
    labels = np.zeros((4, 5, 5), np.int32)
    with pytest.raises(InvalidInput, match="dims is 5\n  allowed: 2 or 3"):
        score_instances(labels, labels, dims=5)
    with pytest.raises(InvalidInput, match="the mask has dtype float64"):
        score(np.full((5, 5), 0.2), labels[0])
    for shape in ((5, 5), (0, 5, 5), (1, 1, 1, 5, 5)):
        with pytest.raises(InvalidInput, match="the prediction has shape"):
            foreground(np.zeros(shape))
    with pytest.raises(InvalidInput, match="threshold is 2"):
        foreground(np.zeros((1, 5, 5)), 2)
