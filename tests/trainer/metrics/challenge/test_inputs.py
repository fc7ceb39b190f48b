"""What the challenge's metrics accept, refuse, and give at the edges."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from unettrain.errors import InvalidInput
from unettrain.metrics import (
    challenge_curves,
    pixel_error,
    pixel_error_curve,
    rand_error,
    v_info,
    v_info_curve,
    v_rand,
    v_rand_curve,
    warping_error,
    warping_mismatches,
)

METRICS = (pixel_error, rand_error, v_rand, v_info, warping_error)
OF_OBJECTS = METRICS[1:]
Metric = Callable[..., float]


def two_cells() -> NDArray[np.int32]:
    """Two cells with a line of membrane between them."""
    labels = np.zeros((6, 9), np.int32)
    labels[:, :4], labels[:, 5:] = 1, 2
    return labels


@pytest.mark.parametrize("metric", METRICS)
def test_masks_of_any_dtype_and_labels_of_any_numbers_score_alike(metric: Metric) -> None:
    labels = two_cells()
    proposal = labels == 1
    expected = metric(labels > 0, proposal)
    for other in (np.uint8, np.int64, np.float16, np.float32, np.float64):
        assert metric(labels, proposal.astype(other)) == expected
    assert metric(labels.astype(np.uint64) * 70, proposal.astype(np.uint8) * 255) == expected
    assert metric(labels[None], proposal[None]) == expected


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("proposal", "match"),
    [
        (np.full((6, 9), np.nan, np.float32), "ranges from nan to nan"),
        (np.full((6, 9), 1.5), "ranges from 1.5 to 1.5"),
        (np.full((6, 9), -0.1), "allowed: the probability of a cell, 0 to 1"),
        (np.arange(54, dtype=np.uint8).reshape(6, 9), "values from 0 to 53\n  allowed: a mask"),
        (np.where(two_cells() > 0, 2, 1), "values from 1 to 2"),
        (two_cells() - 1, "values from -1 to 1"),
        (np.zeros((6, 9), complex), "the proposal is complex128"),
        (np.zeros((6, 8), bool), r"labels have shape \(6, 9\), proposal \(6, 8\)"),
    ],
)
def test_what_is_no_probability_or_mask_is_refused(metric: Metric, proposal: NDArray[Any], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        metric(two_cells(), proposal)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_that_are_no_integers_or_have_other_axes_are_refused(metric: Metric) -> None:
    labels = two_cells()
    with pytest.raises(InvalidInput, match="labels are float32\n  allowed: integers or bool"):
        metric(labels.astype(np.float32), labels > 0)
    for shape in ((9,), (1, 2, 3, 4), (0, 9), (0, 6, 9)):
        with pytest.raises(InvalidInput, match="labels have shape"):
            metric(np.zeros(shape, int), np.zeros(shape))


@pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], [0.6, 0.5], [-0.1], [1.1], [float("nan")], [[0.5]]])
def test_thresholds_must_ascend_within_0_to_1(thresholds: Any) -> None:
    for metric in METRICS:
        with pytest.raises(InvalidInput, match="allowed: ascending different numbers from 0 to 1"):
            metric(two_cells(), two_cells() > 0, thresholds)


def test_another_variant_is_refused() -> None:
    with pytest.raises(InvalidInput, match="variant is '2012'\n  allowed: 'official' or '2014'"):
        rand_error(two_cells(), two_cells() > 0, variant="2012")  # type: ignore[arg-type]


def test_ignored_pixels_are_left_out_of_the_pixel_error_and_refused_elsewhere() -> None:
    labels = two_cells()
    proposal = labels > 0
    proposal[0, :3] = False
    assert pixel_error(labels, proposal) > 0
    labels[0, :3] = -1
    assert pixel_error(labels, proposal) == 0
    assert pixel_error_curve(labels, ~proposal).counts[0, 0].tolist() == [0, 6, 45]
    for metric in OF_OBJECTS:
        with pytest.raises(InvalidInput, match=r"3 ignored pixels \(< 0\), where " + metric.__name__):
            metric(labels, proposal)


def test_cells_that_touch_stay_apart_and_have_no_warping_error() -> None:
    labels = np.repeat([[1, 1, 2, 2]], 4, axis=0)
    one = np.ones((4, 4), bool)
    assert rand_error(labels, one) == pytest.approx(1 / 3)  # precision 1/2, recall 1
    assert rand_error(labels > 0, one) == 0
    assert v_rand(labels, one) == pytest.approx(2 / 3)
    for refusing in (warping_error, warping_mismatches, challenge_curves):
        with pytest.raises(InvalidInput, match=r"different numbers that touch, in slice 0(.|\n)*labels > 0"):
            refusing(labels, one)
    assert warping_error(labels > 0, one) == 0
    diagonal = np.array([[1, 0], [0, 2]])
    assert warping_error(diagonal, diagonal > 0) == 0


def test_empty_labels_and_empty_proposals() -> None:
    none, some = np.zeros((6, 9), np.uint8), two_cells() > 0
    both, extra, missing = (none, none), (none, some), (some.astype(np.uint8), none)
    assert [pixel_error(*pair) for pair in (both, extra, missing)] == [0, 1, 1]
    assert [rand_error(*pair) for pair in (both, extra)] == [0, 0]
    assert rand_error(*missing) == pytest.approx(1 - 2 * (48 / 1152) / (1 + 48 / 1152))  # 48 single pixels
    assert rand_error(*missing, variant="2014") == 1
    assert [warping_error(*pair) for pair in (both, extra, missing)] == [0, 0, 0]
    assert v_rand(*missing) == pytest.approx(2 / 3)  # thinned, it is one object: precision 1/2, recall 1
    assert v_info(*missing) == 0
    for metric in (v_rand, v_info):
        for pair in (both, extra):
            with pytest.raises(InvalidInput, match=f"{metric.__name__} is undefined: the labels have no cell"):
                metric(*pair)


def test_slices_without_a_cell_are_left_out_of_the_average() -> None:
    labels = np.stack([two_cells(), np.zeros((6, 9), np.int32)])
    proposal = labels > 0
    for curve in (v_rand_curve(labels, proposal), v_info_curve(labels, proposal)):
        assert curve.best == pytest.approx(1)
        assert curve.per_slice[0, 0] == pytest.approx(1)
        assert np.isnan(curve.per_slice[:, 1]).all()
        assert curve.precision is not None
        assert curve.precision[0] == pytest.approx(1)
    alone = v_rand_curve(labels[1], proposal[1])
    assert np.isnan(alone.best)
    assert alone.as_dict()["best"] is None
    assert alone.as_dict()["values"] == [None] * 11


def test_v_info_is_0_of_a_single_cell_even_if_found() -> None:
    one = np.ones((5, 5), bool)
    assert (v_info(one, one), v_rand(one, one), rand_error(one, one)) == (0, 1, 0)


def test_a_line_that_divides_the_only_cell_of_a_slice_is_a_split() -> None:
    labels, proposal = np.ones((8, 8), np.uint8), np.ones((8, 8), bool)
    proposal[:, 4] = False
    assert warping_error(labels, proposal) == 1 / 64  # flipped from both ends, until one pixel is left


def test_thresholds_are_compared_in_float64() -> None:
    labels = np.array([[1, 1, 0]])
    just_above = np.array([[0.1, 0.1, 0]], np.float32)  # 0.100000001 > 0.1, which is its equal as float32
    assert pixel_error(labels, just_above, [0.1]) == 0
    assert not warping_mismatches(labels, just_above, 0.1).any()
    assert pixel_error(labels, just_above.astype(np.float64), [0.1]) == 0
    assert pixel_error(labels, np.array([[0.1, 0.1, 0]]), [0.1]) == 1
