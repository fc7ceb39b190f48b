import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import unetprep
from tests import reference
from unetprep.kernels.nearest import two_nearest
from unetprep.kernels.weights import balanced_class_weights, border_reach_px, weigh_block

small_labels = hnp.arrays(
    np.int32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 0, 0, 1, 2, 3, 70000])
)
volumes = hnp.arrays(np.int32, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0, 0, 0, 0, 1, 2, 9]))


def two_columns(gap: int) -> NDArray[np.int32]:
    """Two cells that leave `gap` columns of background between them."""
    labels = np.zeros((9, gap + 4), np.int32)
    labels[:, :2], labels[:, -2:] = 1, 2
    return labels


@pytest.mark.parametrize(("gap", "column", "expected"), [(1, 2, 9.2312), (2, 2, 8.3527), (9, 6, 1.3534)])
def test_border_term_has_the_values_of_the_formula(gap: int, column: int, expected: float) -> None:
    weights = unetprep.weight_map(two_columns(gap), class_weights=(0, 0))
    assert weights[4, column] == pytest.approx(expected, abs=5e-5)


@given(small_labels)
def test_distances_equal_one_transform_for_each_cell(labels: NDArray[np.int32]) -> None:
    found = two_nearest(labels[None], 100.0, (1.0, 1.0))[:, 0]
    expected = reference.two_nearest(labels, (1.0, 1.0))
    np.testing.assert_array_equal(found, (expected**2).round())


@given(volumes, st.tuples(*[st.sampled_from([1.0, 2.0, 0.5, 3.7])] * 3))
def test_distances_in_a_volume_with_spacing(labels: NDArray[np.int32], spacing: tuple[float, ...]) -> None:
    found = np.sqrt(two_nearest(labels, 1000.0, spacing, dims=3))
    np.testing.assert_allclose(found, reference.two_nearest(labels, spacing), rtol=1e-6)


@given(small_labels, st.floats(0.5, 8))
def test_weights_equal_the_formula_on_the_whole_image(labels: NDArray[np.int32], sigma: float) -> None:
    found = unetprep.weight_map(labels, sigma=sigma, class_weights=(0.7, 2.5))
    expected = reference.weight_map(labels, reference.separate(labels), (0.7, 2.5), sigma=sigma)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_weights_of_a_volume() -> None:
    labels = np.zeros((5, 12, 12), np.int32)
    labels[0, 2:5, 2:5], labels[4, 2:6, 2:6] = 1, 2
    expected = reference.weight_map(labels, reference.separate(labels), (1.0, 1.0))
    np.testing.assert_allclose(unetprep.weight_map(labels, class_weights=(1, 1)), expected, atol=2e-6)


def test_slices_of_a_stack_are_independent() -> None:
    stack = np.stack([two_columns(3), np.zeros_like(two_columns(3))])
    weights = weigh_block(stack, (stack != 0).astype(np.uint8), (0.0, 0.0), 10.0, 5.0, dims=2)
    assert weights[0].max() > 1
    assert not weights[1].any()


@pytest.mark.parametrize("num_cells", [0, 1])
def test_fewer_than_two_cells_have_no_border_term(num_cells: int) -> None:
    labels = np.zeros((40, 40), np.uint8)
    if num_cells:
        labels[10:20, 10:20], labels[25:30, 25:30] = 7, 7  # one cell, in two pieces
    np.testing.assert_array_equal(
        unetprep.weight_map(labels, class_weights=(1, 3)), np.where(labels, 3, 1).astype(np.float32)
    )


def test_reach_comes_from_the_formula_and_the_precision_of_float32() -> None:
    assert border_reach_px(10, 5) == 31
    for w0, sigma in [(10, 5), (50, 6), (1, 2.5), (1e-3, 40)]:
        reach = border_reach_px(w0, sigma)
        assert w0 * math.exp(-(reach**2) / (2 * sigma**2)) <= np.finfo(np.float32).epsneg
        assert w0 * math.exp(-((reach - 1) ** 2) / (2 * sigma**2)) > np.finfo(np.float32).epsneg
    assert border_reach_px(0, 5) == 0


def test_class_weights_balance_the_classes() -> None:
    counts = np.array([750, 250])
    weights = balanced_class_weights(counts)
    assert weights == pytest.approx((2 / 3, 2))
    assert (counts * weights).sum() == pytest.approx(counts.sum())
    assert balanced_class_weights(np.array([100, 0])) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 4)), "must be integers"),
        (np.zeros(4, int), "must be integers of 2 or 3 axes"),
        (np.full((4, 4), -1), "must lie in 0 to"),
        (np.full((4, 4), 2**31), "must lie in 0 to"),
    ],
)
def test_unusable_labels_are_refused(labels: NDArray[np.integer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unetprep.weight_map(labels)
