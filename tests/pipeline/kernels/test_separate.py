import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tests import reference
from tests.synthetic import cell_labels
from unetprep import separate_instances

dense_labels = hnp.arrays(
    np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 3])
)


@given(dense_labels)
def test_equals_the_rule_pixel_by_pixel(labels: NDArray[np.int32]) -> None:
    np.testing.assert_array_equal(separate_instances(labels), reference.separate(labels))
    np.testing.assert_array_equal(separate_instances(labels, rule="symmetric"), reference.separate(labels, True))
    np.testing.assert_array_equal(separate_instances(labels, rule="none"), labels > 0)


@given(hnp.arrays(np.int32, st.tuples(*[st.integers(1, 4)] * 3), elements=st.sampled_from([0, 1, 2])))
def test_equals_the_rule_in_a_volume(labels: NDArray[np.int32]) -> None:
    np.testing.assert_array_equal(separate_instances(labels, dims=3), reference.separate(labels))
    np.testing.assert_array_equal(separate_instances(labels, 3, "symmetric"), reference.separate(labels, True))


def test_no_two_cells_touch_afterwards_and_every_cell_is_left() -> None:
    labels = cell_labels((120, 130), 60)
    kept = np.where(separate_instances(labels), labels, 0).astype(np.int64)
    shifted = [np.s_[:-1, :], np.s_[1:, :]], [np.s_[:, :-1], np.s_[:, 1:]], [np.s_[:-1, :-1], np.s_[1:, 1:]]
    for here, there in (*shifted, [np.s_[1:, :-1], np.s_[:-1, 1:]]):
        a, b = kept[here], kept[there]
        assert not ((a != b) & (a > 0) & (b > 0)).any()
    assert set(np.unique(kept)) == set(np.unique(labels))


def test_a_stack_is_separated_slice_by_slice() -> None:
    stack = np.array([[[1, 1], [1, 1]], [[2, 2], [2, 2]]])
    assert separate_instances(stack, dims=2).all()
    assert not separate_instances(stack, dims=3)[1].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
def test_any_integer_dtype(dtype: type[np.integer]) -> None:
    labels: NDArray[np.integer] = np.array([[1, 2]]).astype(dtype)
    result = separate_instances(labels)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, [[1, 0]])
