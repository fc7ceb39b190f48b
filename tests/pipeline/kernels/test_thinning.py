"""Thinning of the background between objects, against flooding pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage

from tests.challenge_reference import thin
from unetprep.kernels.thinning import thin_background

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def smooth_mask(seed: int, side: int, share: float) -> NDArray[np.bool_]:
    """Blobs that cover a share of a square."""
    values = ndimage.gaussian_filter(np.random.default_rng(seed).random((side, side)), 1.5)
    return np.asarray(values > np.quantile(values, 1 - share))


def check(mask: NDArray[np.bool_]) -> None:
    labels = ndimage.label(mask)[0].astype(np.int32)
    found = thin_background(labels)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, thin(mask))
    for a, b in ((found[1:], found[:-1]), (found[:, 1:], found[:, :-1])):
        assert not ((a != b) & (a > 0) & (b > 0)).any()
    assert ndimage.label(found > 0)[1] == max(1, labels.max(initial=0))


@settings(max_examples=40)
@given(masks)
def test_it_equals_flooding_pixel_by_pixel(mask: NDArray[np.bool_]) -> None:
    check(mask)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_it_equals_flooding_of_blobs(share: float) -> None:
    for seed in range(3):
        check(smooth_mask(seed, 40, share))


def test_objects_grow_to_a_line_of_one_pixel_and_background_alone_becomes_one_object() -> None:
    labels = np.array([[1, 0, 0, 0, 2]] * 3, np.int32)
    np.testing.assert_array_equal(thin_background(labels), [[1, 1, 0, 2, 2]] * 3)
    np.testing.assert_array_equal(thin_background(np.zeros((2, 3), np.int32)), np.ones((2, 3)))
    np.testing.assert_array_equal(thin_background(np.ones((2, 3), np.int32)), np.ones((2, 3)))
