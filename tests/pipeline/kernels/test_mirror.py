"""Mirrored windows of an image, held against numpy's reflection."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetprep import mirrored_tile
from unetprep.kernels.mirror import mirror_index, mirrored_runs


@given(st.integers(-400, 400), st.integers(1, 300), st.integers(1, 90))
def test_stretches_show_what_numpy_mirrors(start: int, num: int, size: int) -> None:
    image = np.arange(size)
    padded = np.pad(image, 1000, mode="reflect") if size > 1 else np.zeros(2001, int)
    runs, out = mirrored_runs(start, start + num, size), np.full(num, -1)
    low = min(run.low for run in runs)
    for run in runs:
        out[run.there] = image[low:][run.seen_from(low)]
    np.testing.assert_array_equal(out, padded[1000 + start : 1000 + start + num])
    if start >= 0 and start + num <= size:
        assert runs[0].is_all(num)
    if runs[0].is_all(num):
        np.testing.assert_array_equal(out, image[low : low + num])


@given(st.integers(1, 20), st.integers(-90, 90), st.integers(0, 90))
def test_mirror_is_numpys_reflect_at_any_pad(size: int, start: int, length: int) -> None:
    padded = np.pad(np.arange(size), 200, mode="reflect") if size > 1 else np.zeros(401, int)
    np.testing.assert_array_equal(mirror_index(start, start + length, size), padded[200 + start :][:length])


@given(
    st.integers(1, 9), st.integers(1, 9), st.tuples(*[st.integers(-30, 30)] * 2), st.tuples(*[st.integers(1, 30)] * 2)
)
def test_mirrored_tile_is_cut_from_the_padded_image(
    height: int, width: int, start: tuple[int, int], shape: tuple[int, int]
) -> None:
    image = np.arange(3 * height * width).reshape(3, height, width)
    padded = np.pad(image, ((0, 0), (60, 60), (60, 60)), mode="reflect")
    expected = padded[:, 60 + start[0] :, 60 + start[1] :][:, : shape[0], : shape[1]]
    np.testing.assert_array_equal(mirrored_tile(image, start, shape), expected)


def test_an_empty_image_cannot_be_mirrored() -> None:
    with pytest.raises(ValueError, match="no pixels to mirror"):
        mirrored_tile(np.zeros((0, 5)), (0, 0), (3, 3))
