import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from unetprep.kernels.components import label_components

masks = hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)))


@given(masks)
def test_volume_equals_scipy(mask: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(label_components(mask, 3), ndimage.label(mask)[0])


@given(masks)
def test_slices_are_labelled_on_their_own_and_no_number_comes_twice(mask: NDArray[np.bool_]) -> None:
    found = label_components(mask, 2)
    used = 0
    for labels, slice_mask in zip(found, mask, strict=True):
        expected = ndimage.label(slice_mask)[0]
        np.testing.assert_array_equal(labels, np.where(expected, expected + used, 0))
        used += expected.max()


def test_a_spiral_is_one_piece() -> None:
    spiral = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool)
    assert label_components(spiral[None]).max() == 1
